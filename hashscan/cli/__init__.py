"""The command line: thin click commands over hashscan.agent."""

from __future__ import annotations


def main() -> None:
    """Entry point of the console script."""
