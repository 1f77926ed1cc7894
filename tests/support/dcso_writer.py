"""Writes DCSO Bloom filters, format 1, as bloom, flor and poppy do; and breaks them."""

import math
import struct

HEADER = struct.Struct("<QQdQQQ")
FIELDS = ("flags", "n", "p", "k", "m", "count")


def places(key, k, m):
    """The bits of a key (bytes), straight from the format's description."""
    value = 0xCBF29CE484222325
    for byte in key:
        value = (value * 0x100000001B3) % 2**64
        value ^= byte
    value %= 2**64 - 59
    for _ in range(k):
        value = (value * (2**64 - 1469)) % 2**64 % (2**64 - 59)
        yield value % m


def dcso(keys, *, n=None, p=1e-4, data=b"", m=None):
    """A filter of ``keys`` (text, as they are), with room for ``n``."""
    keys = list(keys)
    n = n or 2 * len(keys)
    m = m or abs(math.ceil(n * math.log(p) / math.log(2) ** 2))
    k = math.ceil(math.log(2) * m / n)
    bits = bytearray(8 * -(-m // 64))
    count = 0
    for key in keys:
        new = False
        for place in places(key.encode(), k, m):
            if not bits[place // 8] >> place % 8 & 1:
                bits[place // 8] |= 1 << place % 8
                new = True
        count += new
    return HEADER.pack(1, n, p, k, m, count) + bytes(bits) + data


def changed(content, **fields):
    """The filter with other words in its header."""
    words = dict(zip(FIELDS, HEADER.unpack(content[:48]), strict=True))
    assert not fields.keys() - words.keys()
    return HEADER.pack(*(words | fields).values()) + content[48:]


def powers_of_two(exponent):
    """Capacity and error rate for which the formula gives a power of two."""
    m = 2**exponent
    n = m // 20
    p = math.exp(-(m + 0.5) * math.log(2) ** 2 / n)
    assert abs(math.ceil(n * math.log(p) / math.log(2) ** 2)) == m
    return {"n": n, "p": p}
