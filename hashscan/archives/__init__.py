"""Reads members of tar and zip archives as streams within bounds; extracts nothing.

``budget``      the bounds for the work on one archive, and the error beyond them
``tar``         the reader of tar files: ustar, GNU and pax
``zipped``      the reader of zip files
``members``     the members of an archive of any kind, with their digests
"""
