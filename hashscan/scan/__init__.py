"""The scan: walk, hash, ask the filters, confirm, act.

``engine`` is the one process that hands out directories, writes the catalog and acts;
``worker`` is what each worker process does with a directory, ``hashing`` with a file;
``pool`` keeps the worker processes alive and ``confirming`` the one that asks the service.
``work`` is what they say to each other.
"""
