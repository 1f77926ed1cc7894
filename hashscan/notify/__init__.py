"""Notifications: messages about events, for administrators and customers.

The audit log is the source. ``events`` selects the events for a receiver, and removes facts that it
may not get; ``outbox`` keeps messages that were not sent yet; ``dispatch`` forms messages and sends
them. ``mail``, ``webhook`` and ``command`` are the notifiers, with one interface (``notifier``).
``wording`` has the texts.
"""
