"""Reads, stores and follows the notices that hotlines and authorities send."""
