"""The arguments of HMP commands, read in QEMU's order and words (spec/monitor.md 5.3, 5.4).

A parameter has a type of one letter, which decides how the rest of the line is read. What a type does
stands in one function; the functions are a table.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

from qshim.monitor.hmp.cursor import BLANKS, Cursor, LineError, byte_shown
from qshim.monitor.hmp.expression import Registers, evaluate

__all__ = ["Examine", "Format", "Parameter", "Reading", "parameters", "read_all"]

_MIB = 1 << 20
_IDS = re.compile(r"(?:^|,)id=([^,]*)")
_IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9._-]*")
_SIZES = {"b": 1, "h": 2, "w": 4, "g": 8, "L": 8}
_LONGEST_SIZE = 100
_MISSING = {"F": "filename", "B": "block device name"}


class Parameter(NamedTuple):
    """One parameter: `force:-f` has the name `force`, the kind `-` and the letter `f`."""

    name: str
    kind: str
    letter: str = ""
    """Of a flag."""
    suffix: str = ""
    """`?`: may be left out. `.`: stands behind a literal dot. `s`: a flag with a value."""
    rest: str = ""
    """The types behind this one, as QEMU writes them; a flag looks for later flags there."""


@cache
def parameters(types: str) -> tuple[Parameter, ...]:
    """The parameters of an argument type text such as `fmt:/,addr:l`."""
    found = []
    rest = types
    while rest:
        name, _, rest = rest.lstrip(",").partition(":")
        kind, rest = rest[:1], rest[1:]
        letter = ""
        if kind == "-":
            letter, rest = rest[:1], rest[1:]
        suffix = ""
        if rest and rest[0] != ",":
            suffix, rest = rest[0], rest[1:]
        found.append(Parameter(name, kind, letter, suffix, rest))
    return tuple(found)


class Format(NamedTuple):
    """`/NFU`: how many, as what (`o d u x i c`), of how many bytes; size -1 where `i` has none."""

    repeat: int = 1
    format: str = "x"
    size: int = 4


@dataclass(slots=True)
class Examine:
    """The format and size that were used last, for all monitors of a machine (monitor.md 5.4)."""

    format: str = "x"
    size: int = 4


@dataclass(slots=True)
class Reading:
    """What reading arguments needs to know besides the line."""

    registers: Registers
    examine: Examine = field(default_factory=Examine)
    binary: bool = False
    """Numbers may be written `0b101`."""
    old_sizes: bool = False
    """Sizes are read as 7.2 does (Quirks.old_sizes)."""


def read_all(cursor: Cursor, command: str, wanted: Sequence[Parameter], reading: Reading) -> dict[str, object]:
    """The value of each parameter by name, those left out not at all; nothing may be left of the line.

    :raises LineError: with QEMU's text.
    """
    values: dict[str, object] = {}
    for parameter in wanted:
        value = _READERS[parameter.kind](cursor, command, parameter, reading)
        if value is not None:
            values[parameter.name] = value
    cursor.skip_blanks()
    if cursor.peek():
        raise LineError(f"{command}: extraneous characters at the end of line\n")
    return values


def _word(cursor: Cursor, command: str, parameter: Parameter, reading: Reading) -> object:
    cursor.skip_blanks()
    if parameter.suffix == "?" and not cursor.peek():
        return None
    word = cursor.word()
    if word is None:
        raise LineError(f"{command}: {_MISSING.get(parameter.kind, 'string')} expected\n")
    return word


def _options(cursor: Cursor, command: str, parameter: Parameter, reading: Reading) -> object:
    cursor.skip_blanks()
    if not cursor.peek():
        return ""
    word = cursor.word()
    # QEMU tells what is wrong on its stderr, and here nothing but the Try line
    if word is None or any(not _IDENTIFIER.fullmatch(name) for name in _IDS.findall(word)):
        raise LineError("")
    return word


def _rest(cursor: Cursor, command: str, parameter: Parameter, reading: Reading) -> object:
    cursor.skip_blanks()
    text = cursor.line[cursor.at :]
    cursor.at = len(cursor.line)
    if text:
        return text
    if parameter.suffix == "?":
        return None
    raise LineError(f"{command}: string expected\n")


def _format(cursor: Cursor, command: str, parameter: Parameter, reading: Reading) -> object:
    last = reading.examine
    cursor.skip_blanks()
    if cursor.peek() != "/":
        return Format(1, last.format, -1 if last.format == "i" else last.size)
    cursor.at += 1
    digits = cursor.take("0123456789")
    # a C int; nobody types more digits than it has
    count = int(digits[:18]) & 0xFFFFFFFF if digits else 1
    count = count - (1 << 32) if count >> 31 else count
    form, size = "", -1
    while char := cursor.peek():
        if char in "oduxic":
            form = char
        elif char in _SIZES:
            size = _SIZES[char]
        else:
            break
        cursor.at += 1
    if char and char not in BLANKS:
        raise LineError(f"invalid char in format: '{byte_shown(char)}'\n")
    form = form or last.format
    if form != "i":
        size = size if size >= 0 else last.size
        last.size = size
    last.format = form
    return Format(count, form, size)


def _expression(cursor: Cursor, command: str, parameter: Parameter, reading: Reading) -> object:
    cursor.skip_blanks()
    if parameter.suffix == "?" and not cursor.peek():
        return None
    if parameter.suffix == ".":
        if cursor.peek() != ".":
            return None
        cursor.at += 1
        cursor.skip_blanks()
    value = evaluate(cursor, reading.registers, reading.binary)
    if parameter.kind == "i" and value >> 32:
        raise LineError(f"'{command}' has failed: integer is for 32-bit values\n")
    if parameter.kind == "M":
        if value < 0:
            raise LineError("enter a positive value\n")
        value *= _MIB
    return value


def _size(cursor: Cursor, command: str, parameter: Parameter, reading: Reading) -> object:
    cursor.skip_blanks()
    if parameter.suffix == "?" and not cursor.peek():
        return None
    value = _mebibytes(cursor, reading.old_sizes)
    if value is None:
        raise LineError("invalid size\n")
    return value


_SIZE = re.compile(r"\+?(?:(?P<hex>0[xX][0-9a-fA-F]+)(?P<bad>[.bBkKmMgGtTpPeE]?)|"
                   r"(?P<whole>[0-9]*)(?P<fraction>\.[0-9]*)?(?P<unit>[bBkKmMgGtTpPeE]?))")


def _mebibytes(cursor: Cursor, old: bool) -> int | None:
    """The size at *cursor* in bytes, in MiB without a suffix; None where there is none.

    A hexadecimal size has neither fraction nor suffix (but in *old* QEMU), bytes have no fraction.
    """
    match = _SIZE.match(cursor.line, cursor.at)
    if match is None or (match["bad"] and not (old and match["bad"] != ".")):
        return None
    if old and match["fraction"] and not match["whole"]:
        return None
    if match["hex"]:
        value = int(match["hex"], 16) << 10 * "BKMGTPE".index((match["bad"] or "M").upper())
    else:
        fraction = (match["fraction"] or "")[1:]
        if not (match["whole"] or fraction) or len(match[0]) > _LONGEST_SIZE:
            return None
        unit = (match["unit"] or "M").upper()
        scale = 1 << 10 * "BKMGTPE".index(unit)
        if unit == "B" and fraction.strip("0"):
            return None
        value = int(match["whole"] or "0") * scale
        if fraction:
            value += int(fraction) * scale // 10 ** len(fraction)
    cursor.at = match.end()
    return value if value < 1 << 63 else None


def _switch(cursor: Cursor, command: str, parameter: Parameter, reading: Reading) -> object:
    cursor.skip_blanks()
    start = cursor.at
    while cursor.peek() and "!" <= cursor.peek() <= "~":
        cursor.at += 1
    word = cursor.line[start : cursor.at]
    if word not in ("on", "off"):
        raise LineError("Expected 'on' or 'off'\n")
    return word == "on"


def _flag(cursor: Cursor, command: str, parameter: Parameter, reading: Reading) -> object:
    start = cursor.at
    cursor.skip_blanks()
    if cursor.peek() != "-":
        return None
    letter = cursor.peek(1)
    if letter != parameter.letter:
        if f"-{letter}" in parameter.rest:
            cursor.at = start
            return None
        # the end of the line is a NUL, which cuts the message with its line end
        raise LineError(f"{command}: unsupported option -{byte_shown(letter)}" + ("\n" if letter else ""))
    cursor.at += 2
    if parameter.suffix != "s":
        return True
    word = cursor.word()
    if word is None:
        raise LineError(f"{command}: value expected for -{letter}\n")
    return word


_READERS: Mapping[str, Callable[[Cursor, str, Parameter, Reading], object]] = {
    "s": _word, "F": _word, "B": _word, "S": _rest, "O": _options, "/": _format, "i": _expression,
    "l": _expression, "M": _expression, "o": _size, "b": _switch, "-": _flag,
}  # fmt: skip

