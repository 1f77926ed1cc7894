"""The intake of notices over HTTP, and the link checker (docs/notices.md, "Over HTTP").

``tokens`` has the senders' tokens, ``form`` reads a report, ``box`` stores it, ``links`` is the
link checker, ``record`` the audit, ``app`` the HTTP side, ``serve`` the process.
"""
