"""A module as code under test sees it, with functions that fail: what no test can provoke."""

import os


class Faulty:
    """A module in which some names have other values; all other names are the module's."""

    def __init__(self, module, **replaced):
        self._module = module
        vars(self).update(replaced)

    def __getattr__(self, name):
        return getattr(self._module, name)


def break_os(monkeypatch, module, **functions):
    """Have ``module`` see an ``os`` with these functions; all other modules see the real one."""
    monkeypatch.setattr(module, "os", Faulty(os, **functions))


def raising(number, real=None, *, calls=1 << 62, on=lambda *_: True):
    """A function that raises OSError: in its first ``calls`` calls, and if ``on`` takes the arguments.

    Otherwise it calls ``real``. Its attribute ``count`` is the number of failures.
    """

    def fails(*args, **kwargs):
        if fails.count < calls and on(*args):
            fails.count += 1
            raise OSError(number, os.strerror(number))
        return real(*args, **kwargs)

    fails.count = 0
    return fails


def open_descriptors():
    """How many descriptors this process has open."""
    return len(os.listdir("/proc/self/fd"))
