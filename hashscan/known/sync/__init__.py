"""The agent's side of the signed repository (TUF): fetches filters, checks them, and switches.

``layout`` is what the publisher and the agent agree on. ``fetcher`` fetches, ``trust`` decides what
is authentic and recent, ``client`` is the sync, ``apply`` makes files from patches,
``synced_filters`` keeps what is in use.
"""
