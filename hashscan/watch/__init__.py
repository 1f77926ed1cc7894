"""Watches volumes: reports each change, and each loss of changes.

``inotify`` and ``fanotify`` are sources of changes with the same interface (``source``). A loss of
changes is never silent: the source reports a ``Lost``, and the daemon scans the affected volume.
"""
