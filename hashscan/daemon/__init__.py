"""Runs the daemon: watches, rescans, syncs, asks, acts; a loop over the rooms below."""
