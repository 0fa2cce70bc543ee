"""QMP commands that change the run state, and what the machine does at its end (spec/monitor.md 1.11)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from qshim.monitor.qmp.table import QMP
from qshim.monitor.registry import CommandError

if TYPE_CHECKING:
    from qshim.vm import Vm

__all__ = [
    "cont", "inject_nmi", "set_action", "stop", "system_powerdown", "system_reset", "system_wakeup",
    "watchdog_set_action",
]  # fmt: skip

Arguments = Mapping[str, object]


@QMP.command("stop")
def stop(vm: Vm, arguments: Arguments) -> object:
    """Pause the guest."""
    vm.stop()
    return {}


@QMP.command("cont")
def cont(vm: Vm, arguments: Arguments) -> object:
    """Let the guest run."""
    if vm.run_state in ("internal-error", "io-error", "shutdown", "guest-panicked"):
        raise CommandError("Resetting the Virtual Machine is required")
    vm.cont()
    return {}


@QMP.command("system_reset")
def system_reset(vm: Vm, arguments: Arguments) -> object:
    """Reset the machine."""
    vm.reset()
    return {}


@QMP.command("system_powerdown")
def system_powerdown(vm: Vm, arguments: Arguments) -> object:
    """Press the power button."""
    vm.powerdown()
    return {}


@QMP.command("system_wakeup")
def system_wakeup(vm: Vm, arguments: Arguments) -> object:
    """Wake a suspended guest; none is suspended, since only a guest does that."""
    told = vm.recorded("query-current-machine")
    if isinstance(told, Mapping) and told.get("wakeup-suspend-support"):
        raise CommandError("Unable to wake up: guest is not in suspended state")
    raise CommandError("wake-up from suspend is not supported by this guest")


@QMP.command("inject-nmi")
def inject_nmi(vm: Vm, arguments: Arguments) -> object:
    """Of the machines here only a PC has it, and no CPU runs that would notice."""
    if vm.machine == "none" or vm.target not in ("x86_64", "i386"):
        raise CommandError(vm.quirks.no_nmi)
    return {}


@QMP.command("set-action")
def set_action(vm: Vm, arguments: Arguments) -> object:
    """What happens at a reset, a shutdown, a panic, and when the watchdog fires."""
    for occasion, action in arguments.items():
        vm.actions[occasion] = str(action)
    return {}


@QMP.command("watchdog-set-action")
def watchdog_set_action(vm: Vm, arguments: Arguments) -> object:
    """What happens when the watchdog fires."""
    vm.actions["watchdog"] = str(arguments["action"])
    return {}
