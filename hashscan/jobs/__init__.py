"""Puts the parts of one job together, from settings and a command's options."""
