"""The formats in which notices arrive, one file each; ``intake`` tries them in order."""
