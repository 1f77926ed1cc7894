"""Confirmers, which give verdicts: the central service, or an index of local lists."""
