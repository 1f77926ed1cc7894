"""Digests and credentials of the tests of the HashCheckService client."""

import base64

from hashscan.model import Digest

KNOWN = Digest("sha1", "ab" * 20)
UNKNOWN = Digest("sha1", "cd" * 20)
USERNAME = "agent-17"
PASSWORD = "pässwörd with ünïcode zq-8a61"
SECRETS = [
    PASSWORD,
    "zq-8a61",
    base64.b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode(),
    base64.b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode().rstrip("=")[4:],
]
