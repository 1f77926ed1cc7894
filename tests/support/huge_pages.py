"""Memory in huge pages: a fork copies an entry for each page, and 2 MiB in place of 4 KiB are few."""

import ctypes

_SIZE = 2 << 20
_MADV_COLLAPSE = 25  # since Linux 6.1; madvise(2)


def collapse():
    """Move this process's own memory into huge pages, as far as the kernel can."""
    libc = ctypes.CDLL(None)
    libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    with open("/proc/self/maps", encoding="utf-8") as file:
        lines = [line.split() for line in file]
    for place, rights, *_, name in (one if len(one) > 5 else [*one, ""] for one in lines):
        if rights == "rw-p" and name in {"", "[heap]"}:
            start, end = (int(one, 16) for one in place.split("-"))
            start = (start + _SIZE - 1) // _SIZE * _SIZE
            end = end // _SIZE * _SIZE
            if end > start:
                libc.madvise(start, end - start, _MADV_COLLAPSE)
