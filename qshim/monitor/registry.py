"""The table of QMP commands that have a behaviour, and the error that a command of either monitor raises.

Which commands there are and what arguments they take is QEMU's own schema (`monitor.schema`); a row
here is only what qshim does. A handler takes the machine and the checked arguments and returns the
value of `return`; it never prints. What it cannot do it says with `CommandError`, which the session
turns into QEMU's error object or error line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from qshim.vm import Vm

__all__ = ["Command", "CommandError", "Handler", "Table"]


class CommandError(Exception):
    """A command fails; *desc* and *class_* are the members of QMP's error object (monitor.md 2.1)."""

    def __init__(self, desc: str, class_: str = "GenericError") -> None:
        super().__init__(desc)
        self.desc = desc
        self.class_ = class_


Handler = Callable[["Vm", Mapping[str, object]], object]


class Command(NamedTuple):
    """One row: a command and the function that does it."""

    name: str
    handler: Handler
    own_checks: bool = False
    """It reads its arguments by itself (QEMU's `gen: false`), not by the schema."""


class Table:
    """Commands by name. Families of commands add their rows with `command` where the functions stand."""

    def __init__(self) -> None:
        self._rows: dict[str, Command] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def command(self, name: str, *, own_checks: bool = False) -> Callable[[Handler], Handler]:
        """Decorator: enter the function below under *name*."""

        def enter(handler: Handler) -> Handler:
            assert name not in self._rows, f"two commands are called {name}"
            self._rows[name] = Command(name, handler, own_checks)
            return handler

        return enter

    def find(self, name: str) -> Command | None:
        """The row of exactly this name, None where there is none."""
        return self._rows.get(name)
