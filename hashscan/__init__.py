"""Finds known material on hosting servers by digest, and quarantines it.

It only hashes content; it never renders, displays or sends it.
"""

import os

__version__ = "0.1.0"

# At each start pydantic would look through everything that is installed for plugins, and run what
# it finds: a quarter of a short command's time, and code that has no business in a root's process.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
