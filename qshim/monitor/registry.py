"""Tables of commands: what can be asked of a machine, and by which name.

QMP and HMP are two tables of the same kind of row. A handler takes the machine and the checked
arguments and returns data (QMP) or text with "\\n" line ends (HMP); it never prints. What it cannot
do it says with `CommandError`, which the session turns into QEMU's error object or error line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from qshim.vm import Vm

__all__ = ["Command", "CommandError", "Table"]

P = TypeVar("P")
R = TypeVar("R")


class CommandError(Exception):
    """A command fails; *desc* and *class_* are the members of QMP's error object (monitor.md 2.1)."""

    def __init__(self, desc: str, class_: str = "GenericError") -> None:
        super().__init__(desc)
        self.desc = desc
        self.class_ = class_


class Command(NamedTuple, Generic[P, R]):
    """One row: a command, its parameters in QEMU's order, and the function that does it."""

    name: str
    """QMP: the exact name. HMP: the words; the last may have aliases (`quit|q`)."""
    handler: Callable[[Vm, Mapping[str, object]], R]
    parameters: tuple[P, ...] = ()
    dialects: tuple[str, ...] = ()
    """The dialects that have it; empty means all."""
    stable: bool = False
    """The result depends on the memory topology and the arguments alone, so it is kept until that changes."""


class Table(Generic[P, R]):
    """Commands by name. Families of commands add their rows with `command` where the functions stand."""

    def __init__(self) -> None:
        self._rows: dict[str, Command[P, R]] = {}

    def command(
        self, name: str, *parameters: P, dialects: Iterable[str] = (), stable: bool = False
    ) -> Callable[[Callable[[Vm, Mapping[str, object]], R]], Callable[[Vm, Mapping[str, object]], R]]:
        """Decorator: enter the function below under *name* and each of its aliases."""

        def enter(handler: Callable[[Vm, Mapping[str, object]], R]) -> Callable[[Vm, Mapping[str, object]], R]:
            row = Command(name, handler, parameters, tuple(dialects), stable)
            head, space, last = name.rpartition(" ")
            for alias in last.split("|"):
                assert head + space + alias not in self._rows, f"two commands are called {alias}"
                self._rows[head + space + alias] = row
            return handler

        return enter

    def find(self, name: str, dialect: str) -> Command[P, R] | None:
        """The row of exactly this name, None where there is none or *dialect* does not have it."""
        row = self._rows.get(name)
        return row if row is not None and (not row.dialects or dialect in row.dialects) else None
