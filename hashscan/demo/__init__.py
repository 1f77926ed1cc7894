"""Runs ``hashscan demo``: all of hashscan's work on a sample volume, as a self-test of the machine.

The module ``workplace`` makes the demo's directory, ``sample`` makes the volume and its digest
lists in this directory, ``tree`` reads the volume without the agent's own code, ``stage`` runs
commands, shows them and compares results, and ``story`` has the steps in order.
"""
