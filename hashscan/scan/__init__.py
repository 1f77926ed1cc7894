"""The scan: walks, hashes, asks the filters, confirms, acts.

``scan`` is one scan: its directories, its worker processes and its result. ``engine`` runs it as a
one-off scan: this process hands out directories, writes the catalog and acts.
``worker`` handles one directory in a worker process, and ``hashing`` hashes one file. ``pool``
keeps the worker processes alive. ``asker`` runs the process that asks the service. ``messages``
defines the messages between the engine and the worker processes.
"""
