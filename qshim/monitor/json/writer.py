"""A value as QEMU prints it: its key order, escapes, numbers and pretty form (spec/monitor.md 1.1)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from json.encoder import encode_basestring_ascii

from qshim.qom.qdict import bucket, hash_order

__all__ = ["bucket", "dumps", "hash_order"]

_ODD = re.compile("[^\n\r\t -~]")
# as exceptions from what needs no escape: compiling a set that reaches U+10FFFF takes 8 ms
_ESCAPE = re.compile(r"[^ !#-\[\]-~]")
_SHORT = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}

_ORDERS: dict[tuple[str, ...], tuple[tuple[str, str], ...]] = {}
_ORDERS_LIMIT = 4096
_SHALLOW = 20
_TEXTS: dict[str, str] = {}
_TEXTS_FROM, _TEXTS_LIMIT = 512, 32


def dumps(value: object, pretty: bool = False) -> str:
    """*value* (None, bool, int, float, str, list, tuple, mapping) as one JSON text, without line end.

    *pretty*: four blanks a level, lines separated by a newline (the monitor makes it CR LF).

    >>> dumps({"id": 1, "return": {}})
    '{"return": {}, "id": 1}'
    """
    return _walk(value, pretty) if pretty else _compact(value, _SHALLOW)


def _compact(value: object, levels: int) -> str:
    """The usual short reply, several times faster than `_walk`, which takes over *levels* down."""
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, dict):
        if not levels:
            return _walk(value, False)
        return "{" + ", ".join([label + _compact(value[k], levels - 1) for k, label in _order(tuple(value))]) + "}"
    if isinstance(value, list) and levels:
        return "[" + ", ".join([_compact(element, levels - 1) for element in value]) + "]"
    if value is None or isinstance(value, (int, float)):
        return _scalar(value)
    return _walk(value, False)


def _walk(value: object, pretty: bool) -> str:
    """Any value at any depth: a client may nest 1024 levels, hence no recursion."""
    out: list[str] = []
    put = out.append
    levels: list[_Level] = []
    while True:
        if isinstance(value, str):
            put(_quoted(value))
        elif isinstance(value, Mapping):
            put("{")
            levels.append(_Level(_members(value), "}"))
        elif isinstance(value, (list, tuple)):
            put("[")
            levels.append(_Level((("", element) for element in value), "]"))
        else:
            put(_scalar(value))
        # on to the next value, closing what is complete
        while levels:
            level = levels[-1]
            member = next(level.members, None)
            if member is None:
                levels.pop()
                put("\n" + "    " * len(levels) + level.closing if pretty else level.closing)
                continue
            if pretty:
                put((",\n" if level.begun else "\n") + "    " * len(levels))
            elif level.begun:
                put(", ")
            level.begun = True
            label, value = member
            put(label)
            break
        else:
            return "".join(out)


class _Level:
    """A container that is being printed: the members still to come, and whether one was printed."""

    __slots__ = ("begun", "closing", "members")

    def __init__(self, members: Iterator[tuple[str, object]], closing: str) -> None:
        self.members = members
        self.closing = closing
        self.begun = False


def _members(value: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    return ((label, value[key]) for key, label in _order(tuple(value)))


def _scalar(value: object) -> str:
    if value is True:
        return "true"
    if value is False:
        return "false"
    if value is None:
        return "null"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return f"{value:.17g}"
    raise TypeError(f"a {type(value).__name__} has no JSON form")


def _order(keys: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """(key, its text with the colon) in printing order; kept, since replies repeat few sets of keys."""
    known = _ORDERS.get(keys)
    if known is None:
        known = tuple((key, _quoted(key) + ": ") for key in hash_order(keys))
        if len(_ORDERS) < _ORDERS_LIMIT and sum(map(len, keys)) < 1024:
            _ORDERS[keys] = known
    return known


def _quoted(text: str) -> str:
    if len(text) < _TEXTS_FROM:
        return _escaped(text)
    # the long texts are views, asked for again and again between two changes of the machine
    known = _TEXTS.get(text)
    if known is None:
        known = _escaped(text)
        while len(_TEXTS) >= _TEXTS_LIMIT:
            del _TEXTS[next(iter(_TEXTS))]
        _TEXTS[text] = known
    return known


def _escaped(text: str) -> str:
    if _ODD.search(text) is None:
        return encode_basestring_ascii(text)
    return '"' + _ESCAPE.sub(_escape_one, text) + '"'


def _escape_one(match: re.Match[str]) -> str:
    char = match[0]
    short = _SHORT.get(char)
    if short is not None:
        return short
    code = ord(char)
    if code < 0x10000:
        return f"\\u{code:04X}"
    code -= 0x10000
    return f"\\u{0xD800 | code >> 10:04X}\\u{0xDC00 | code & 0x3FF:04X}"
