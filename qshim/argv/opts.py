"""QEMU's `value,key=value,...` texts (QemuOpts): splitting, doubled commas, short booleans, sizes."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from qshim.argv.errors import OptionError

__all__ = ["IDENTIFIER_HINT", "Members", "identifier", "members", "on_off", "size", "split"]

IDENTIFIER_HINT = "\nIdentifiers consist of letters, digits, '-', '.', '_', starting with a letter."
_IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9._-]*")
_SIZE = re.compile(r"(\d+)(?:\.(\d+))?([bBkKmMgGtTpPeE]?)")
_SIZE_HINT = "\nOptional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, peta-\nand exabytes, respectively."


def split(text: str) -> list[tuple[str, str | None]]:
    """The members in order; a member without `=` has the value None. `,,` is a comma.

    >>> split("unix:/tmp/a,,b,server=on,nowait")
    [('unix:/tmp/a,b', None), ('server', 'on'), ('nowait', None)]
    """
    found: list[tuple[str, str | None]] = []
    for part in text.replace(",,", "\0").split(","):
        key, equals, value = part.replace("\0", ",").partition("=")
        found.append((key, value if equals else None))
    return found


class Members(NamedTuple):
    """The members of one option's value, and the warnings about short forms among them."""

    values: dict[str, str]
    warnings: tuple[str, ...] = ()


def members(text: str, implied: str | None = None) -> Members:
    """The members of *text* by key, the last one winning; a first one without `=` belongs to *implied*.

    >>> members("socket,server,nowait,id=a", "backend").values
    {'backend': 'socket', 'server': 'on', 'wait': 'off', 'id': 'a'}
    """
    values: dict[str, str] = {}
    warnings = []
    for i, (key, value) in enumerate(split(text) if text else ()):
        if value is not None:
            values[key] = value
        elif i == 0 and implied is not None:
            values[implied] = key
        elif key:
            name, setting = (key[2:], "off") if key.startswith("no") and key != "nodelay" else (key, "on")
            values[name] = setting
            warnings.append(
                f"warning: short-form boolean option '{key}' deprecated\nPlease use {name}={setting} instead"
            )
    return Members(values, tuple(warnings))


def on_off(values: dict[str, str], key: str, default: bool, fail: Callable[[str], OptionError]) -> bool:
    """A boolean member. *fail* makes the error.

    :raises OptionError: neither `on` nor `off`.
    """
    value = values.get(key)
    if value is None:
        return default
    if value in ("on", "yes", "true", "y"):
        return True
    if value in ("off", "no", "false", "n"):
        return False
    raise fail(f"Parameter '{key}' expects 'on' or 'off'")


def identifier(value: str) -> bool:
    """Whether *value* may be an id."""
    return _IDENTIFIER.fullmatch(value) is not None


def size(value: str, key: str, unit: int, fail: Callable[[str], OptionError]) -> int:
    """Bytes; *unit* is what a number without a suffix counts in.

    :raises OptionError: no size, or more than 64 bits.
    """
    if value.startswith("-") and value[1:].isdecimal():
        raise fail(f"Value '{value}' is out of range for parameter '{key}'")
    match = _SIZE.fullmatch(value)
    if match is None or (match[2] is not None and not match[3]):
        raise fail(f"Parameter '{key}' expects a non-negative number below 2^64{_SIZE_HINT}")
    scale = 1 << 10 * "bkmgtpe".index(match[3].lower()) if match[3] else unit
    whole = int(match[1]) * scale + int(int(match[2] or 0) * scale / 10 ** len(match[2] or ""))
    if whole >= 1 << 64:
        raise fail(f"Value '{value}' is out of range for parameter '{key}'")
    return whole
