"""The table of HMP commands that do something; each family's module enters its functions when it is imported.

Which commands there are, with their arguments and help, is QEMU's own catalogue (`hmp.catalogue`). A
function here takes a `Call` and returns text with "\\n" line ends. What it cannot do it says with
`CommandError`, which becomes `Error: ...`; QEMU's historic errors without that word are returned as text.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakKeyDictionary

from qshim.monitor.hmp.arguments import Examine
from qshim.monitor.registry import CommandError

if TYPE_CHECKING:
    from qshim.memory import AddressSpace
    from qshim.vm import Vm

__all__ = ["HMP", "Call", "Handler", "HmpTable", "Monitor", "Row", "examine_of", "plain_errors"]


@dataclass(slots=True)
class Monitor:
    """What one human monitor remembers from line to line."""

    cpu: int = 0
    """The CPU that `x`, `memsave` ... mean."""
    history: list[str] = field(default_factory=list)
    """Lines as the readline keeps them, the oldest first."""
    fds: dict[str, int] = field(default_factory=dict)
    """Descriptors by the name that `getfd` gave them."""
    passed: list[int] = field(default_factory=list)
    """Descriptors that came with input and that no command has taken yet."""

    def take(self, fds: Sequence[int]) -> None:
        """*fds* came with input; those before them that nobody took are closed."""
        self.forget()
        self.passed.extend(fds)

    def forget(self) -> None:
        """Close the descriptors that no command took."""
        for fd in self.passed:
            with suppress(OSError):
                os.close(fd)
        self.passed.clear()


class Call(NamedTuple):
    """A command with checked arguments, on a machine, from a monitor."""

    vm: Vm
    arguments: Mapping[str, object]
    monitor: Monitor

    def text(self, name: str) -> str:
        """A word that is there."""
        value = self.arguments[name]
        assert isinstance(value, str)
        return value

    def maybe_text(self, name: str) -> str | None:
        """A word, None if it was left out."""
        return self.text(name) if name in self.arguments else None

    def number(self, name: str) -> int:
        """An integer that is there."""
        value = self.arguments[name]
        assert isinstance(value, int)
        return value

    def maybe_number(self, name: str) -> int | None:
        """An integer, None if it was left out."""
        return self.number(name) if name in self.arguments else None

    def flag(self, name: str) -> bool:
        """Whether the flag was given."""
        return bool(self.arguments.get(name))

    @property
    def memory(self) -> AddressSpace | None:
        """The system's address space; None where the machine has none."""
        return next((space for space in self.vm.topology.spaces if space.name == "memory"), None)


Handler = Callable[[Call], str]


class Row(NamedTuple):
    """A function, and whether its text depends on the memory topology and the arguments alone."""

    handler: Handler
    stable: bool


class HmpTable:
    """Functions by command name; an item of `info` has that word in front."""

    def __init__(self) -> None:
        self._rows: dict[str, Row] = {}

    def command(self, *names: str, stable: bool = False) -> Callable[[Handler], Handler]:
        """Decorator: enter the function below. A name with aliases is written as QEMU does (`quit|q`)."""

        def enter(handler: Handler) -> Handler:
            for name in names:
                assert name not in self._rows, f"two commands are called {name}"
                self._rows[name] = Row(handler, stable)
            return handler

        return enter

    def find(self, name: str) -> Row | None:
        """The row of the command that the catalogue calls *name*."""
        return self._rows.get(name)

    @property
    def names(self) -> frozenset[str]:
        """Every command that does something."""
        return frozenset(self._rows)


HMP = HmpTable()
"""Handlers return text with "\\n" line ends."""

_EXAMINE: WeakKeyDictionary[Vm, Examine] = WeakKeyDictionary()


def examine_of(vm: Vm) -> Examine:
    """The last used format of a machine's monitors; QEMU keeps one for the process."""
    return _EXAMINE.setdefault(vm, Examine())


def plain_errors(ask: Callable[[], str]) -> str:
    """What *ask* returns, or its error as text without `Error: ` in front, as some old commands have it."""
    try:
        return ask()
    except CommandError as error:
        return f"{error.desc}\n"
