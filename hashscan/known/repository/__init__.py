"""The signed repository (TUF): published as static files, synced by agents.

``layout`` is what both sides agree on; ``keys`` and ``publish`` are the publisher's; ``fetcher``,
``client`` and ``kept`` the agent's.
"""
