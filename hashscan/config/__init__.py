"""Reads the YAML file into typed, checked settings; reports all errors, with line and fix.

``loader.load`` reads a file. ``settings`` holds the types of all settings; the checks, the texts of
errors, ``config.example.yaml`` and ``config show`` are made from these types.
"""
