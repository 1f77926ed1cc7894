"""Finds known child-abuse files on hosting servers by digest, and moves them to quarantine.

hashscan only hashes the files' content; hashscan never renders, displays or sends the content.
"""

import os

__version__ = "0.1.0"

# At each start, pydantic would search all installed packages for plugins, and run these plugins.
# This search takes a quarter of a short command's time, and root must not run unknown code.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
