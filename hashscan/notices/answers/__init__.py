"""Makes and sends answers to notices: receipt, decision, and the customer's statement."""
