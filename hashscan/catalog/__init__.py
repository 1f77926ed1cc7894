"""The SQLite file of hashed files, candidates and verdicts, which must survive a crash.

One process writes (``store``), and the worker processes read (``reader``). ``schema`` has the
tables.
"""
