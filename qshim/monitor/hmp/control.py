"""HMP commands about the process and the monitor itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from qshim.monitor.hmp.table import HMP

if TYPE_CHECKING:
    from qshim.vm import Vm

__all__ = ["info_name", "info_status", "info_version", "quit_"]

Arguments = Mapping[str, object]


@HMP.command("info version")
def info_version(vm: Vm, arguments: Arguments) -> str:
    """Version and package, with nothing in between."""
    return f"{vm.version}{vm.version.package}\n"


@HMP.command("info status")
def info_status(vm: Vm, arguments: Arguments) -> str:
    """Running or paused, and why where that needs saying."""
    if vm.running:
        return "VM status: running\n"
    return "VM status: paused\n" if vm.run_state == "paused" else f"VM status: paused ({vm.run_state})\n"


@HMP.command("info name")
def info_name(vm: Vm, arguments: Arguments) -> str:
    """The name given with -name; nothing at all without one."""
    return "" if vm.name is None else f"{vm.name}\n"


@HMP.command("quit|q")
def quit_(vm: Vm, arguments: Arguments) -> str:
    """End the machine; prints nothing."""
    vm.shutdown("host-qmp-quit")
    return ""
