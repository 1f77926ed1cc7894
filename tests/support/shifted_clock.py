"""A wall clock that a test sets for its child processes while they run.

A preloaded library adds a number of seconds from a mapped file to CLOCK_REALTIME. The other clocks
are the kernel's.
"""

import shutil
import struct
import subprocess

import pytest

_SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
static long offset(void) {
    static volatile long *shared;
    if (!shared) {
        int fd = open(getenv("SHIFTED_CLOCK"), O_RDONLY | O_CLOEXEC);
        void *there = fd < 0 ? MAP_FAILED : mmap(0, 8, PROT_READ, MAP_SHARED, fd, 0);
        if (there == MAP_FAILED) abort();
        shared = there;
    }
    return *shared;
}
int clock_gettime(clockid_t which, struct timespec *time) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(which, time);
    if (!failed && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE))
        time->tv_sec += offset();
    return failed;
}
time_t time(time_t *there) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (there) *there = now.tv_sec;
    return now.tv_sec;
}
int gettimeofday(struct timeval *there, void *zone) {
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    there->tv_sec = now.tv_sec;
    there->tv_usec = now.tv_nsec / 1000;
    return 0;
}
"""


class ShiftedClock:
    """``env`` for the processes; ``set`` moves their clock, also while they run."""

    def __init__(self, directory):
        compiler = shutil.which("gcc") or shutil.which("cc")
        if compiler is None:
            pytest.skip("needs a C compiler, for a clock that can be set")
        source, library = directory / "clock.c", directory / "clock.so"
        source.write_text(_SOURCE)
        built = subprocess.run(
            [compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"],
            capture_output=True,
            text=True,
        )
        if built.returncode:
            pytest.skip(f"the clock cannot be built: {built.stderr}")
        self._file = directory / "clock.offset"
        self.set(0)
        self.env = {"LD_PRELOAD": str(library), "SHIFTED_CLOCK": str(self._file)}

    def set(self, seconds):
        with open(self._file, "r+b" if self._file.exists() else "wb") as file:
            file.write(struct.pack("q", seconds))
