"""One HMP command line: find the command, read its arguments, run it (spec/monitor.md 5.2, 5.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from qshim.monitor.hmp import control, memory
from qshim.monitor.hmp.arguments import BLANKS, Cursor, Flag, LineError, read_all
from qshim.monitor.hmp.table import HMP
from qshim.monitor.names import known_hmp
from qshim.monitor.registry import Command, CommandError

if TYPE_CHECKING:
    from qshim.vm import Vm

__all__ = ["run", "understand"]

# imported for the rows they enter
_FAMILIES = (control, memory)

Row = Command[Flag, str]


def run(vm: Vm, line: str) -> str:
    """What the human monitor prints for *line*, lines ending in CR LF."""
    try:
        found = understand(vm.quirks.label, line)
    except LineError as error:
        return _crlf(str(error))
    if found is None:
        return ""
    row, values = found
    try:
        if row.stable:
            return vm.kept((row.name, *values.values()), lambda: _crlf(row.handler(vm, values)))
        return _crlf(row.handler(vm, values))
    except CommandError as error:
        return _crlf(f"Error: {error.desc}\n")


def understand(dialect: str, line: str) -> tuple[Row, Mapping[str, object]] | None:
    """The command that *line* names and its arguments; None for a blank line.

    :raises LineError: with the text that the monitor prints instead.
    """
    cursor = Cursor(line)
    name = _word(cursor)
    if not name and not cursor.peek():
        return None
    if name == "info":
        behind = cursor.at
        item = _word(cursor)
        if item:
            name = f"info {item}"
        elif cursor.peek():
            # `info/mtree`: there is a word, and it is empty
            raise LineError(f"unknown command: '{line[:behind]}'\n")
    row = HMP.find(name, dialect)
    if row is None:
        if known_hmp(dialect, name):
            raise LineError(f"{name} is not modelled by qshim\n")
        raise LineError(f"unknown command: '{line[: cursor.at]}'\n")
    typed = line[: cursor.at]
    try:
        return row, read_all(cursor, row.name.rpartition(" ")[2], row.parameters)
    except LineError as error:
        raise LineError(f'{error}Try "help {typed}" for more information\n') from None


def _word(cursor: Cursor) -> str:
    """The next command word; it ends at white space or a slash."""
    cursor.skip_blanks()
    start = cursor.at
    while cursor.peek() and cursor.peek() not in BLANKS and cursor.peek() != "/":
        cursor.at += 1
    return cursor.line[start : cursor.at]


def _crlf(text: str) -> str:
    return text.replace("\n", "\r\n")
