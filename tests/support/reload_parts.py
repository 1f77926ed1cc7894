"""A background job that a test lets end."""


class Job:
    """A job in the background that has ended."""

    connection = "connection"

    def __init__(self, result):
        self.result, self.is_closed = result, False

    def take(self):
        return self.result

    def close(self):
        self.is_closed = True
