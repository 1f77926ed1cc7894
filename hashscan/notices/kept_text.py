"""Cuts embedded content out of the text that is kept as a notice's evidence.

A text can embed images and videos: ``data:`` URLs in HTML, uuencoded blocks, long runs of Base64 or
hexadecimal digits, the payloads of XARF. This module cuts embedded content out of a text without
decoding the content.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from hashscan.notices import bounded_json

if TYPE_CHECKING:
    from collections.abc import Iterator

#: A run of Base64 or hexadecimal text with at least this many characters counts as embedded
#: content.
LONGEST_RUN = 1024
#: A string in JSON with more characters than this counts as embedded content.
LONGEST_STRING = 8192
# Possessive quantifiers, and a match only at the first character of a run, keep the time of the
# search linear.
_DATA = re.compile(r"data:[\w.+-]{0,100}+/?[\w.+;=-]{0,200}+,[^\s\"'<>)]{64,}+", re.IGNORECASE)
_RUN = re.compile(rf"(?<![A-Za-z0-9+/=])[A-Za-z0-9+/=]{{{LONGEST_RUN},}}+")
#: Matches embedded content in a JSON text that cannot be parsed.
_PAYLOAD = re.compile(
    r'("(?:payload|samples?|content|data)"\s{0,9}:\s{0,9}")[^"]{64,}', re.IGNORECASE
)
_BASE64_LINE = re.compile(r"[A-Za-z0-9+/]{40,1000}={0,2}")
_HEX_LINE = re.compile(r"[0-9A-Fa-f]{32,128}")
_BLOCK = re.compile(r"begin(?:-base64)? [0-7]{3,4} |=ybegin ")
_BLOCK_ENDS = ("end", "====", "`")
_EMBEDDED = frozenset({"payload", "samples", "sample", "content", "data"})
_DEEPEST = 50


def cut(text: str) -> str:
    """A text in which a mark with the number of characters replaces each embedded content."""
    if len(text) >= 64:
        text = _DATA.sub(lambda found: _mark(len(found[0])), text)
        text = _PAYLOAD.sub(lambda found: found[1] + _mark(len(found[0])), text)
        text = _RUN.sub(lambda found: _mark(len(found[0])), text)
        text = "\n".join(_without_blocks(text.split("\n")))
    return text


def _mark(size: int) -> str:
    return f"[{size} characters dropped]"


def _without_blocks(lines: list[str]) -> Iterator[str]:
    held: list[str] = []  # consecutive lines that may be a Base64 block
    size = 0
    block = 0  # number of characters dropped from the open uuencoded or Base64 block
    for line in lines:
        if block:
            block += len(line) + 1
            if line.rstrip() in _BLOCK_ENDS or line.startswith("=yend "):
                yield _mark(block)
                block = 0
            continue
        bare = line.strip(" \t>\r")
        if _BASE64_LINE.fullmatch(bare) and not _HEX_LINE.fullmatch(bare):
            held.append(line)
            size += len(line) + 1
            continue
        # The last line of a Base64 block is shorter than the others.
        if size < LONGEST_RUN:
            yield from held
        else:
            yield _mark(size)
        held, size = [], 0
        if _BLOCK.match(line):
            block = len(line) + 1
        else:
            yield line
    if block:
        yield _mark(block)
    elif size >= LONGEST_RUN:
        yield _mark(size)
    else:
        yield from held


def cut_json(text: str) -> str:
    """A JSON text without embedded content; a text that is no valid JSON goes through ``cut``."""
    try:
        value = bounded_json.load(text)
    except ValueError:
        return cut(text)
    shorter = _without_payloads(value, 0)
    return text if shorter == value else json.dumps(shorter)


def _without_payloads(value: object, depth: int) -> object:
    if depth > _DEEPEST:
        return "[nested too deeply: dropped]"
    if isinstance(value, dict):
        return {
            name: _mark(len(one))
            if isinstance(one, str) and name.lower() in _EMBEDDED
            else _without_payloads(one, depth + 1)
            for name, one in value.items()
        }
    if isinstance(value, list):
        return [_without_payloads(one, depth + 1) for one in value]
    if isinstance(value, str):
        return _mark(len(value)) if len(value) > LONGEST_STRING else cut(value)
    return value
