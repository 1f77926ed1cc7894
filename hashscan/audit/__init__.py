"""The audit log: files that only grow, with each event and the person behind it.

``log`` writes, ``reader`` reads, ``verify`` finds changes and gaps. ``line`` is the format of a
line, ``head`` that of the head file, ``repair`` finds the end of the log after a kill. ``events``
has the names of all events, ``actor`` the person or process that did something.
"""
