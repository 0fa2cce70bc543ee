"""Trace events: their names are those of the real binary, and nothing ever traces (spec/monitor.md 4.1).

What a machine's monitors switch on is remembered, because they ask for it again.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from qshim.argv.dialect import trace_events
from qshim.monitor.registry import CommandError

if TYPE_CHECKING:
    from qshim.vm import Vm

__all__ = ["enabled", "matching", "switch"]

_ENABLED: WeakKeyDictionary[Vm, set[str]] = WeakKeyDictionary()


def matching(vm: Vm, pattern: str) -> list[str]:
    """Events that *pattern* (with `*` and `?`) means, in QEMU's order; a name without them has to exist.

    :raises CommandError: there is no event of that name.
    """
    names = trace_events(vm.quirks.label, vm.target)
    if not {"*", "?"} & set(pattern):
        if pattern not in names:
            raise CommandError(f'unknown event "{pattern}"')
        return [pattern]
    wanted = re.compile("".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in pattern), re.DOTALL)
    return [name for name in names if wanted.fullmatch(name)]


def enabled(vm: Vm, name: str) -> bool:
    """Whether somebody has switched the event *name* on."""
    return name in _ENABLED.get(vm, ())


def switch(vm: Vm, pattern: str, on: bool) -> None:
    """Switch the events that *pattern* means on or off.

    :raises CommandError: there is no event of that name.
    """
    names = matching(vm, pattern)
    chosen = _ENABLED.setdefault(vm, set())
    if on:
        chosen.update(names)
    else:
        chosen.difference_update(names)
