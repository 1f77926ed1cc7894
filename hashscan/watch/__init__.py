"""Watches volumes: reports each change, and each loss of changes.

``inotify`` and ``fanotify`` are sources of changes with one interface (``source``). A loss is never
silent: it is a ``Lost``, which the daemon makes good by scanning what it concerns.
"""
