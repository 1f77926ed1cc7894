"""The formats of notices, one file each; ``intake`` tries them in order."""
