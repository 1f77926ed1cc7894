"""The sources of verdicts on digests: the central service, or an index of local lists."""
