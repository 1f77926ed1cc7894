"""The agent's side of the signed repository (TUF): fetches, checks and activates filters.

The module ``layout`` has the names and the metadata that the publisher and the agent share.
``fetcher`` fetches files, ``trust`` decides whether files are authentic and recent, ``client`` runs
the sync, ``apply`` makes files from patches, ``synced_filters`` keeps the filters in use.
"""
