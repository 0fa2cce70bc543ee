"""-global: properties for every device of a type, and what QEMU says of those that nobody takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qshim.machines.errors import MachineError
from qshim.machines.plugging import nic_types

if TYPE_CHECKING:
    from qshim.machines.machine import Machine

__all__ = ["bad_global", "check_globals", "check_nics"]


def bad_global(machine: Machine, type_name: str) -> str | None:
    """What QEMU says of a -global that a device of *type_name* does not take, None if it takes all."""
    types = machine.board.types if machine.plan.globals else None
    for kind, name, value in machine.plan.globals:
        if types is not None and types.implements(type_name, kind):
            told = types.device_properties(type_name)
            if isinstance(told, list) and name not in {row["name"] for row in told}:
                return f"can't apply global {kind}.{name}={value}: Property '{type_name}.{name}' not found"
    return None


def check_nics(machine: Machine) -> None:
    """10.0 and later look at every network card before they make one.

    :raises MachineError: -global sets what a card does not have.
    """
    if machine.quirks.nics_are_tried and machine.plan.globals:
        for kind in nic_types(machine.quirks.label, machine.request.target):
            error = bad_global(machine, kind)
            if error is not None:
                raise MachineError(error)


def check_globals(machine: Machine) -> None:
    """-global for types that do not exist."""
    types = machine.board.types if machine.plan.globals else None
    if types is None:
        return
    for kind, name, _ in machine.plan.globals:
        if kind not in types.by_name:
            machine.warn(f"global {kind}.{name} has invalid class name")
