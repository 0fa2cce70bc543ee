"""One HMP command line: find the command, read its arguments, run it (spec/monitor.md 5.2, 5.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from qshim.monitor.hmp.arguments import Reading, read_all
from qshim.monitor.hmp.catalogue import Catalogue, Entry, catalogue
from qshim.monitor.hmp.cursor import BLANKS, Cursor, LineError
from qshim.monitor.hmp.registers import registers
from qshim.monitor.hmp.table import HMP, Call, Monitor, Row, examine_of
from qshim.monitor.registry import CommandError

if TYPE_CHECKING:
    from qshim.vm import Vm

__all__ = ["Understood", "perform", "run", "understand"]


_MOST_LINES = 256
"""Spellings of lines whose text is kept; a client that makes up ever new ones gets no more."""


def _no_lines() -> dict[str, str]:
    return {}


class Understood(NamedTuple):
    """A command line: *name* is the catalogue's (`info mtree`, `quit|q`), *typed* the words as they stand there."""

    name: str
    entry: Entry
    arguments: Mapping[str, object]
    typed: str


def run(vm: Vm, line: str, monitor: Monitor | None = None) -> str:
    """What the human monitor prints for *line*, lines ending in CR LF.

    *monitor*: who asks; None for a line that comes alone, as by human-monitor-command.
    """
    # QEMU's strings end at a NUL
    line = line.partition("\0")[0]
    stable = vm.kept("hmp lines", _no_lines)
    if line in stable:
        return stable[line]
    try:
        found = understand(vm, line)
        if found is None:
            return ""
        row = _row(found)
        if row is not None and row.stable:
            text = vm.kept(("hmp", found.name, *found.arguments.items()), lambda: _crlf(perform(vm, found)))
            if len(stable) < _MOST_LINES:
                stable[line] = text
            return text
        return _crlf(perform(vm, found, monitor))
    except LineError as error:
        return _crlf(str(error))
    except CommandError as error:
        return _crlf(f"Error: {error.desc}\n")


def perform(vm: Vm, found: Understood, monitor: Monitor | None = None) -> str:
    """What *found* prints, lines ending in LF.

    :raises CommandError: it fails.
    :raises LineError: qshim does not model it.
    """
    row = _row(found)
    if row is None:
        raise LineError(f"{found.name.split('|')[0]} is not modelled by qshim\n")
    vm.build()
    return row.handler(Call(vm, found.arguments, monitor or Monitor()))


def _row(found: Understood) -> Row | None:
    import qshim.monitor.hmp.families as _families  # the rows enter themselves when they are imported

    del _families
    return HMP.find(found.name)


def understand(vm: Vm, line: str) -> Understood | None:
    """The command that *line* names and its arguments; None for a blank line.

    :raises LineError: with the text that the monitor prints instead.
    """
    known = catalogue(vm.quirks.label, vm.target)
    cursor = Cursor(line)
    word = _word(cursor)
    if not word and not cursor.peek():
        return None
    early = vm.preconfig is not None
    entry = _find(known, False, word, cursor, early)
    name = entry.name
    typed = line[: cursor.at]
    cursor.skip_blanks()
    if name == "info" and cursor.peek():
        entry = _find(known, True, _word(cursor), cursor, early)
        name = f"info {entry.name}"
        typed = line[: cursor.at]
    if entry.unbuilt:
        cursor.skip_blanks()
        raise LineError(f'Command "{line[: cursor.at]}" is not available.\n')
    reading = Reading(registers(vm), examine_of(vm), vm.quirks.hmp_binary_numbers, vm.quirks.old_sizes)
    try:
        return Understood(name, entry, read_all(cursor, entry.name, entry.parameters, reading), typed)
    except LineError as error:
        raise LineError(f'{error}Try "help {typed}" for more information\n') from None


def _find(known: Catalogue, info: bool, word: str, cursor: Cursor, early: bool) -> Entry:
    """The command *word*; *early*: the machine is still to be made, which few commands go without."""
    entry = (known.info_by_name if info else known.by_name).get(word)
    so_far = cursor.line[: cursor.at]
    if entry is None:
        raise LineError(f"unknown command: '{so_far}'\n")
    if entry.foreign or (early and "p" not in entry.flags):
        raise LineError(f"Command '{so_far}' not available until machine initialization has completed.\n")
    return entry


def _word(cursor: Cursor) -> str:
    """The next command word; it ends at white space or a slash."""
    cursor.skip_blanks()
    start = cursor.at
    while cursor.peek() and cursor.peek() not in BLANKS and cursor.peek() != "/":
        cursor.at += 1
    return cursor.line[start : cursor.at]


def _crlf(text: str) -> str:
    return text.replace("\n", "\r\n")
