"""Runs the daemon: watches volumes, scans, syncs filters, asks the service, and acts on matches."""
