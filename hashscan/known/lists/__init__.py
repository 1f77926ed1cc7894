"""Digest lists: recognises their formats, reads, classifies and sorts their entries."""
