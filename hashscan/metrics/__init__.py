"""Metrics for Prometheus: the facts of ``status`` and the daemon's counters."""
