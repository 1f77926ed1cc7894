"""Metrics for Prometheus: what ``status`` shows, and what the daemon counts, as numbers."""
