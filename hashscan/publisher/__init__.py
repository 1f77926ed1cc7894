"""The publisher's side of the signed repository (TUF): makes and signs static files.

``keys`` makes and reads the keys, ``publish`` makes and renews the roles, ``versions`` adds
filters, ``targets`` puts the files of a version into the ``repository`` directory, ``clock`` says
how much time has certainly passed. No room of the agent imports this room; only commands do.
"""
