"""Digest lists as they are published: their kinds, their entries, their categories; sorted."""
