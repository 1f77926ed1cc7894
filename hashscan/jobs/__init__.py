"""Composition: from settings and a command's options to a job with all its parts."""
