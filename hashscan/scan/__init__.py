"""Scans volumes: walks directories, hashes files, asks the filters, confirms matches, and acts.

The module ``scan`` is one scan: its directories, its worker processes and its result. The module
``engine`` runs it as a one-off scan: the engine's process hands out directories, writes the catalog
and acts. The module ``worker`` handles one directory in a worker process, and ``hashing`` hashes
one file. The module ``pool`` keeps the worker processes alive. The module ``asker`` runs the
process that asks the service. The module ``messages`` defines the messages between the engine and
the worker processes.
"""
