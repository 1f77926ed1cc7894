"""The signed repository (TUF): published as static files, synced by agents.

``layout`` is what both sides agree on. The publisher: ``keys``, ``store`` (the directory),
``publish`` (roles), ``versions`` (filters). The agent: ``source``, ``fetcher``, ``trust`` (what is
authentic and recent), ``client`` (the sync), ``kept`` (what is in use).
"""
