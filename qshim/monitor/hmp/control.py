"""HMP commands about the process, the monitor, and whether the guest runs."""

from __future__ import annotations

from qshim.monitor.hmp.bridge import ask
from qshim.monitor.hmp.table import HMP, Call

__all__ = [
    "clear", "closefd", "cont", "cpu", "getfd", "info_history", "info_name", "info_status", "info_uuid",
    "info_version", "quit_", "stop", "system_powerdown", "system_reset",
]  # fmt: skip


@HMP.command("info version")
def info_version(call: Call) -> str:
    """Version and package, with nothing in between."""
    return f"{call.vm.version}{call.vm.version.package}\n"


@HMP.command("info status")
def info_status(call: Call) -> str:
    """Running or paused, and why where that needs saying."""
    vm = call.vm
    state = "running" if vm.running else "paused"
    steps = " (single step mode)" if vm.single_step and vm.quirks.status_shows_singlestep else ""
    why = "" if vm.run_state == state else f" ({vm.run_state})"
    return f"VM status: {state}{steps}{why}\n"


@HMP.command("info name")
def info_name(call: Call) -> str:
    """The name given with -name; nothing at all without one."""
    return "" if call.vm.name is None else f"{call.vm.name}\n"


@HMP.command("info uuid")
def info_uuid(call: Call) -> str:
    """The machine's UUID, zeros without one."""
    return f"{call.vm.uuid or '00000000-0000-0000-0000-000000000000'}\n"


@HMP.command("info history")
def info_history(call: Call) -> str:
    """The lines that the monitor remembers; none for a line that comes through QMP."""
    return "".join(f"{number}: '{line}'\n" for number, line in enumerate(call.monitor.history))


@HMP.command("quit|q")
def quit_(call: Call) -> str:
    """End the machine; prints nothing."""
    call.vm.shutdown("host-qmp-quit")
    return ""


@HMP.command("stop|s")
def stop(call: Call) -> str:
    """Pause the guest."""
    ask(call.vm, "stop")
    return ""


@HMP.command("cont|c")
def cont(call: Call) -> str:
    """Let the guest run."""
    ask(call.vm, "cont")
    return ""


@HMP.command("system_reset")
def system_reset(call: Call) -> str:
    """Reset the machine."""
    ask(call.vm, "system_reset")
    return ""


@HMP.command("system_powerdown")
def system_powerdown(call: Call) -> str:
    """Press the power button."""
    ask(call.vm, "system_powerdown")
    return ""


@HMP.command("cpu")
def cpu(call: Call) -> str:
    """Choose the CPU that this monitor's commands mean."""
    index = call.number("index")
    if not 0 <= index < call.vm.cpus:
        return "invalid CPU index\n"
    call.monitor.cpu = index
    return ""


@HMP.command("getfd")
def getfd(call: Call) -> str:
    """Name the descriptor that came with the line."""
    ask(call.vm, "getfd", {"fdname": call.text("fdname")})
    return ""


@HMP.command("closefd")
def closefd(call: Call) -> str:
    """Close a named descriptor."""
    ask(call.vm, "closefd", {"fdname": call.text("fdname")})
    return ""


@HMP.command("clear")
def clear(call: Call) -> str:
    """Clear the screen."""
    return "\x1b[H\x1b[2J\x1b[3J"
