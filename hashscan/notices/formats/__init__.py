"""The formats of notices, each in its own file; ``intake`` tries the formats in order."""
