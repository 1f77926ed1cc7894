"""Sources of verdicts: the central service, or an index of local lists."""
