"""Answers to notices: receipt, decision, and the statement for the customer."""
