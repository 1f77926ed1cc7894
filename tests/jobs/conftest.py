"""A state as scans and a daemon leave it."""

from left_state import place

__all__ = ["place"]
