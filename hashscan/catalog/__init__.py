"""The SQLite store of outcomes, candidates and verdicts: all that must survive a crash.

One process writes (``store``), the worker processes read (``reader``). ``schema`` holds the tables.
"""
