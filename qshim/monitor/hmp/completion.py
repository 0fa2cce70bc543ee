"""What TAB completes: commands, items of info, names of objects and types (spec/monitor.md 5.1)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from qshim.monitor.hmp.catalogue import Entry, catalogue, fixed_text
from qshim.monitor.hmp.cursor import BLANKS, Cursor

if TYPE_CHECKING:
    from qshim.vm import Vm

__all__ = ["complete"]

_MOST_WORDS = 16
Matches = tuple[int, Sequence[str]]
_NOTHING: Matches = (0, ())


def complete(vm: Vm, line: str) -> Matches:
    """(bytes that stand there already, matches) for the text *line* in front of the cursor."""
    words = _words(line)
    if words is None:
        return _NOTHING
    if line and line[-1] in BLANKS:
        if len(words) >= _MOST_WORDS:
            return _NOTHING
        words.append("")
    known = catalogue(vm.quirks.label, vm.target)
    return _by_table(vm, known.commands, known.by_name, words)


def _words(line: str) -> list[str] | None:
    cursor = Cursor(line)
    words: list[str] = []
    while True:
        cursor.skip_blanks()
        if not cursor.peek():
            return words
        word = cursor.word()
        if word is None or len(words) >= _MOST_WORDS:
            return None
        words.append(word)


def _by_table(vm: Vm, entries: Iterable[Entry], by_name: Mapping[str, Entry], words: Sequence[str]) -> Matches:
    if len(words) <= 1:
        return _begun(words[0] if words else "", (alias for e in entries if not e.foreign for alias in e.aliases))
    entry = by_name.get(words[0])
    if entry is None or entry.foreign:
        return _NOTHING
    known = catalogue(vm.quirks.label, vm.target)
    if entry.name == "info" and entry is known.by_name.get("info"):
        return _by_table(vm, known.info, known.info_by_name, words[1:])
    if entry.name == "help|?":
        return _by_table(vm, known.commands, known.by_name, words[1:])
    if len(words) == 2 and entry.name == "object_add":
        listed = (fixed_text(vm.quirks.label, "object_add help") or "").splitlines()[1:]
        return _begun(words[1], (each.strip() for each in listed))
    if len(words) == 2 and entry.name == "object_del":
        objects = vm.qom.child("objects") if vm.qom is not None else None
        return _begun(words[1], objects.children if objects is not None else ())
    return _NOTHING


def _begun(word: str, names: Iterable[str]) -> Matches:
    return len(word.encode("utf-8", "surrogateescape")), [name for name in names if name.startswith(word)]
