"""Takes notices over HTTP, and answers the link checker.

The module ``tokens`` has the senders' tokens, ``form`` reads a report, ``box`` stores a report,
``links`` is the link checker, ``record`` the audit, ``app`` the HTTP side, ``serve`` the process.
"""
