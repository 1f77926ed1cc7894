"""One raw HTTP exchange."""

import contextlib
import socket


def ask_raw(port, request):
    """Send bytes as they are, and return all that comes back until the connection ends."""
    if isinstance(request, str):
        request = request.encode("utf-8", "surrogateescape")
    with socket.create_connection(("127.0.0.1", port), timeout=60) as sock:
        with contextlib.suppress(OSError):
            sock.sendall(request)
        answer = b""
        while True:
            try:
                chunk = sock.recv(65536)
            except ConnectionResetError:
                break
            if not chunk:
                break
            answer += chunk
    return answer
