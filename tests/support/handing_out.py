"""Worker processes and a reporter for tests of the dispatch: nothing is forked, nothing is hashed."""


class Worker:
    """A worker process, as far as handing out and findings concern it."""

    def __init__(self):
        self.tasks = []
        self.stalled = False


class Pool:
    """Worker processes that do nothing by themselves."""

    def __init__(self, size):
        self.workers = [Worker() for _ in range(size)]
        self.idle_told = None

    def idle(self):
        return [worker for worker in self.workers if not worker.tasks]

    def give(self, worker, tasks):
        worker.tasks = tasks

    def tell_idle(self, count):
        self.idle_told = count


class Told:
    """A reporter that keeps problems and notices."""

    def __init__(self):
        self.problems = []
        self.notices = []

    def problem(self, event):
        self.problems.append(event)

    def notice(self, message):
        self.notices.append(message)
