"""The audit log: append-only files with a line for each event and the person who caused it.

``log`` writes the log, ``reader`` reads it, ``verify`` finds changed and missing lines. ``line`` is
the format of a line, ``head`` is the format of the head file, and ``repair`` finds the end of the
log after a kill. ``events`` has the names of all events. ``actor`` is the person or process that
caused an event.
"""
