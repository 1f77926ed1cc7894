"""Reads and sorts published digest lists: their kinds, entries and categories."""
