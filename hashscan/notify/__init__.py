"""Notifications: what happened goes to the people who must know it.

The audit log is the source. ``events`` selects what a receiver gets, and removes what it may not
get; ``outbox`` keeps what was not sent yet; ``dispatch`` forms messages and sends them. ``mail``,
``webhook`` and ``command`` are the notifiers, with one interface (``notifier``). ``wording`` has
the texts.
"""
