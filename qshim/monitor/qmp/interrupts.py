"""QMP commands about interrupt controllers: those of a PC after a reset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from qshim.monitor.qmp.machine import types_of
from qshim.monitor.qmp.table import QMP
from qshim.monitor.registry import CommandError
from qshim.qom.types import qom_types

if TYPE_CHECKING:
    from qshim.vm import Vm

__all__ = ["controllers", "x_query_interrupt_controllers", "x_query_irq"]

Arguments = Mapping[str, object]

_SILENT = ("isa-i8259", "ioapic")


def _check(vm: Vm, command: str) -> None:
    """:raises CommandError: a controller has registers that nobody models, or a guest has written them."""
    known = qom_types(vm.quirks.label, vm.target)
    telling = [name for name in types_of(vm) if known is None or known.implements(name, "intctrl")]
    if known is None or any(name not in _SILENT for name in telling):
        raise CommandError(f"{command} is not modelled by qshim for this machine")
    if telling and vm.recording is not None and vm.recording.when != "reset":
        raise CommandError(f"{command} is not in the recording of this machine, whose guest has run")


@QMP.command("x-query-irq")
def x_query_irq(vm: Vm, arguments: Arguments) -> object:
    """How often each interrupt was raised."""
    from qshim.views.interrupts import irq_text

    _check(vm, "x-query-irq")
    return {"human-readable-text": irq_text(vm)}


@QMP.command("x-query-interrupt-controllers")
def x_query_interrupt_controllers(vm: Vm, arguments: Arguments) -> object:
    """The registers of interrupt controllers."""
    return {"human-readable-text": controllers(vm)}


def controllers(vm: Vm) -> str:
    """The text of `info pic`, whatever the release calls its QMP command.

    :raises CommandError: nobody models a controller of this machine.
    """
    from qshim.views.interrupts import pic_text

    _check(vm, "x-query-interrupt-controllers")
    return pic_text(vm)
