"""One HMP command line: find the command, read its arguments, run it (spec/monitor.md 5.2, 5.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qshim.monitor.hmp import control, memory
from qshim.monitor.hmp.arguments import BLANKS, Cursor, LineError, read_all
from qshim.monitor.hmp.table import HMP
from qshim.monitor.names import known_hmp
from qshim.monitor.registry import CommandError

if TYPE_CHECKING:
    from qshim.vm import Vm

__all__ = ["run"]

# imported for the rows they enter
_FAMILIES = (control, memory)


def run(vm: Vm, line: str) -> str:
    """What the human monitor prints for *line*, lines ending in CR LF."""
    cursor = Cursor(line, 0)
    name = _word(cursor)
    if not name and not cursor.peek():
        return ""
    if name == "info":
        behind = cursor.at
        item = _word(cursor)
        if item:
            name = f"info {item}"
        elif cursor.peek():
            # `info/mtree`: there is a word, and it is empty
            cursor.at = behind
            return _crlf(f"unknown command: '{line[:behind]}'\n")
    row = HMP.find(name, vm.quirks.label)
    if row is None:
        if known_hmp(vm.quirks.label, name):
            return _crlf(f"{name} is not modelled by qshim\n")
        return _crlf(f"unknown command: '{line[: cursor.at]}'\n")
    typed = line[: cursor.at]
    try:
        values = read_all(cursor, row.name.rpartition(" ")[2], row.parameters)
    except LineError as error:
        return _crlf(f'{error}Try "help {typed}" for more information\n')
    try:
        if row.stable:
            return vm.kept((row.name, *values.values()), lambda: _crlf(row.handler(vm, values)))
        return _crlf(row.handler(vm, values))
    except CommandError as error:
        return _crlf(f"Error: {error.desc}\n")


def _word(cursor: Cursor) -> str:
    """The next command word; it ends at white space or a slash."""
    cursor.skip_blanks()
    start = cursor.at
    while cursor.peek() and cursor.peek() not in BLANKS and cursor.peek() != "/":
        cursor.at += 1
    return cursor.line[start : cursor.at]


def _crlf(text: str) -> str:
    return text.replace("\n", "\r\n")
