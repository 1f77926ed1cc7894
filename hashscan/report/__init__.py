"""The periodic report: computes the figures, and prints them in four formats."""
