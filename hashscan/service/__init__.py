"""The reference central service, for pilots, demos and tests: answers whether a digest is known.

``data`` is its directory; ``users`` who may ask, ``limits`` how often, ``audit`` what was asked;
``app`` the HTTP side, ``serve`` the process. It needs the extra ``hashscan[service]``.
"""
