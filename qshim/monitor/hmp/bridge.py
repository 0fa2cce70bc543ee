"""HMP commands that wrap QMP ones: ask the QMP table, print what it returns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from qshim.monitor.registry import CommandError

if TYPE_CHECKING:
    from qshim.vm import Vm

__all__ = ["ask", "ask_list"]


def ask(vm: Vm, command: str, arguments: Mapping[str, object] | None = None) -> Any:
    """What QMP's *command* returns; *arguments* have been checked already.

    :raises CommandError: it fails, or is not modelled.
    """
    # not at start-up: QMP has human-monitor-command, so it imports HMP
    import qshim.monitor.qmp.families as _families  # for the rows they enter
    from qshim.monitor.qmp.table import QMP

    del _families
    row = QMP.find(command)
    if row is None:
        raise CommandError(f"{command} is not modelled by qshim")
    return row.handler(vm, arguments or {})


def ask_list(vm: Vm, command: str) -> list[dict[str, Any]]:
    """The same for a command that returns a list of objects."""
    return list(ask(vm, command))
