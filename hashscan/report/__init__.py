"""The periodic report: ``figures`` computes it, the other modules print it."""
