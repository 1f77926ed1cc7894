"""The publisher's side of the signed repository (TUF): makes and signs static files.

The module ``keys`` makes and reads the keys, ``publish`` makes and renews the roles' metadata,
``versions`` adds filters, ``targets`` puts the files of a version into the ``repository``
directory, ``clock`` computes how much time has certainly passed. The agent's rooms never import
this room; only commands do.
"""
