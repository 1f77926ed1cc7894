"""Notices over HTTP, and the link checker (docs/notices.md, "Over HTTP").

``tokens`` has the senders' tokens, ``form`` reads a report, ``app`` is the HTTP side, ``serve`` the
process.
"""
