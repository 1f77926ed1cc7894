"""Combines the parts of one job (scan, sync, status), from settings and command options."""
