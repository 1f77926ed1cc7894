"""Answers to notices: a receipt, the decision for each item, and a statement for the customer."""
