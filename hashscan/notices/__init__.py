"""Notices of hotlines and authorities: read, stored, and followed until each item is settled."""
