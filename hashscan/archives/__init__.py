"""Reads members of tar and zip archives as streams within bounds; extracts nothing.

``budget``      how much one archive may cost, and the error beyond it
``tar``         tar files: ustar, GNU and pax
``zipped``      zip files
``members``     the members of an archive of any kind, with their digests
"""
