"""The agent's side of the signed repository (TUF): fetches, checks and switches filters.

``layout`` has the names and the metadata that the publisher and the agent share. ``fetcher``
fetches, ``trust`` decides whether files are authentic and recent, ``client`` is the sync, ``apply``
makes files from patches, ``synced_filters`` has the filters in use.
"""
