"""Reads the YAML file into typed, checked settings; reports all errors, with line and fix.

``loader.load`` reads a file, ``settings`` holds the types that everything else follows: the
checks, the texts of errors, ``config.example.yaml`` and ``config show``.
"""
