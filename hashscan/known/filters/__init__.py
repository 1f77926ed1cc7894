"""Makes, checks and asks filter files."""
