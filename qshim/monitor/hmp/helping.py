"""`help` and `info` without an item (spec/monitor.md 5.2)."""

from __future__ import annotations

from collections.abc import Sequence

from qshim.monitor.hmp.catalogue import Catalogue, Entry, catalogue, fixed_text
from qshim.monitor.hmp.cursor import Cursor
from qshim.monitor.hmp.table import HMP, Call

__all__ = ["help_", "info_help"]

_MOST_WORDS = 16


@HMP.command("help|?")
def help_(call: Call) -> str:
    """One line for each command, or for the one that is named; `help log` lists what can be logged."""
    name = call.maybe_text("name")
    known = _known(call)
    if name is None:
        return _listed(known.commands, ())
    if name == "log":
        return fixed_text(call.vm.quirks.label, "help log") or ""
    words: list[str] = []
    cursor = Cursor(name)
    while True:
        cursor.skip_blanks()
        if not cursor.peek():
            break
        word = cursor.word()
        if word is None or len(words) == _MOST_WORDS:
            return ""
        words.append(word)
    return _about(known, words)


@HMP.command("info")
def info_help(call: Call) -> str:
    """The items of info."""
    return _about(_known(call), ["info"])


def _known(call: Call) -> Catalogue:
    """The commands that there are now: while the machine is still to be made, only those that go without."""
    known = catalogue(call.vm.quirks.label, call.vm.target)
    if call.vm.preconfig is None:
        return known
    commands, info = (tuple(e for e in each if "p" in e.flags) for each in (known.commands, known.info))
    return Catalogue(
        commands, info, {name: e for name, e in known.by_name.items() if e in commands},
        {name: e for name, e in known.info_by_name.items() if e in info},
    )  # fmt: skip


def _about(known: Catalogue, words: Sequence[str]) -> str:
    if not words:
        return _listed(known.commands, ())
    entry = known.by_name.get(words[0])
    if entry is not None and entry.name == "info":
        if len(words) == 1:
            return _listed(known.info, words)
        entry = known.info_by_name.get(words[1])
        if entry is not None and not entry.foreign:
            return _listed([entry], words[:1])
        return f"unknown command: '{words[0]} {words[1]}'\n"
    if entry is None or entry.foreign:
        return f"unknown command: '{words[0]}'\n"
    return _listed([entry], ())


def _listed(entries: Sequence[Entry], before: Sequence[str]) -> str:
    front = "".join(f"{word} " for word in before[:1])
    return "".join(f"{front}{e.name} {e.shown} -- {e.help}\n" for e in entries if not e.foreign)
