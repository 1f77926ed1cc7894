"""A service in a thread of this process, so that its limits can be set."""

import contextlib
import threading

import pytest


@contextlib.contextmanager
def serving(target, *arguments, said=None):
    """Run ``target(*arguments, say)``; yields the address at the end of its first message.

    ``said``: a list that gets all messages.
    """
    from hashscan.service import server

    ready = threading.Event()
    told = [] if said is None else said
    servers = []

    def say(message):
        told.append(message)
        if " listens on " in message:
            ready.set()

    class Server(server.Server):
        def __init__(self, config):
            super().__init__(config)
            servers.append(self)

        @contextlib.contextmanager
        def capture_signals(self):
            yield  # only the main thread may

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server, "Server", Server)
        thread = threading.Thread(target=target, args=(*arguments, say))
        thread.start()
        try:
            assert ready.wait(60), told
            yield next(one for one in told if " listens on " in one).split()[-1]
        finally:
            for one in servers:
                one.should_exit = True
            thread.join()
