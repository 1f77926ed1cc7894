"""Notifications: messages about events, for administrators and customers.

All events come from the audit log. ``events`` selects the events for a receiver, and removes facts
that this receiver may not get. ``outbox`` keeps messages that were not sent yet. ``dispatch`` makes
messages and sends them. ``mail``, ``webhook`` and ``command`` are the notifiers, with one interface
(``notifier``). ``wording`` has the texts of the messages.
"""
