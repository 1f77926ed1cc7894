"""Watching: where files change, told as it happens; and whatever cannot be told, told as such.

``inotify`` and ``fanotify`` are sources of changes with one interface (``source``). A loss is never
silent: it is a ``Lost``, which the daemon makes good by scanning what it concerns.
"""
