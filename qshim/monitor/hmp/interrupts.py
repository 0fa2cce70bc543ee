"""HMP commands about interrupt controllers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qshim.monitor.hmp.bridge import ask
from qshim.monitor.hmp.cursor import LineError
from qshim.monitor.hmp.table import HMP, Call

if TYPE_CHECKING:
    from qshim.vm import Vm

__all__ = ["info_irq", "info_lapic", "info_pic"]


@HMP.command("info irq")
def info_irq(call: Call) -> str:
    """How often each interrupt was raised."""
    return str(ask(call.vm, "x-query-irq")["human-readable-text"])


@HMP.command("info pic")
def info_pic(call: Call) -> str:
    """The registers of interrupt controllers."""
    from qshim.monitor.qmp.interrupts import controllers

    return controllers(call.vm)


@HMP.command("info lapic")
def info_lapic(call: Call) -> str:
    """The registers of a CPU's local APIC, which nobody has written."""
    from qshim.views.interrupts import lapic_text

    vm = call.vm
    number = call.maybe_number("apic-id")
    cpus = _apic_ids(vm)
    index = call.monitor.cpu if number is None else next((n for n, own in enumerate(cpus) if own == number), None)
    if index is None or index >= vm.cpus:
        return "No CPU available\n"
    if vm.recording is not None and vm.recording.when != "reset":
        raise LineError("the recording of this machine was not taken at reset, and holds no registers\n")
    if not any(each.type_name in ("apic", "kvm-apic") for each in (vm.qom.walk() if vm.qom is not None else ())):
        return "local apic state not available\n"
    return lapic_text(cpus[index])


def _apic_ids(vm: Vm) -> list[int]:
    """The APIC id of each CPU, by its place."""
    machine = vm.machine_model
    ids = getattr(machine, "apic_ids", None)
    return list(range(vm.cpus)) if ids is None else ids()
