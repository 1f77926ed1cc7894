"""hashscan: finds known material on hosting servers by digest and quarantines it.

It reads bytes and computes digests; it never opens, renders or shows content.
"""

__version__ = "0.1.0"
