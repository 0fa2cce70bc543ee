"""QMP commands about the process and the monitor itself: version, status, name, commands, HMP, quit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from qshim.monitor.hmp.line import run
from qshim.monitor.names import qmp_names
from qshim.monitor.qmp.arguments import Argument, Plain
from qshim.monitor.qmp.table import QMP
from qshim.monitor.registry import CommandError

if TYPE_CHECKING:
    from qshim.vm import Vm

__all__ = ["human_monitor_command", "query_commands", "query_name", "query_status", "query_version", "quit_"]

Arguments = Mapping[str, object]


@QMP.command("query-version")
def query_version(vm: Vm, arguments: Arguments) -> object:
    """The version of the binary that the machine stands for."""
    version = vm.version
    return {
        "qemu": {"major": version.major, "minor": version.minor, "micro": version.micro},
        "package": version.package,
    }


@QMP.command("query-status")
def query_status(vm: Vm, arguments: Arguments) -> object:
    """The run state."""
    # `singlestep` and `status` share a slot of QEMU's table, so the order of insertion shows
    status: dict[str, object] = {"running": vm.running}
    if vm.quirks.status_shows_singlestep:
        status["singlestep"] = False
    status["status"] = vm.run_state
    return status


@QMP.command("query-name")
def query_name(vm: Vm, arguments: Arguments) -> object:
    """The name given with -name; no member without one."""
    return {} if vm.name is None else {"name": vm.name}


@QMP.command("query-commands")
def query_commands(vm: Vm, arguments: Arguments) -> object:
    """Everything that this QEMU binary advertises, in its order, modelled here or not."""
    return [{"name": name} for name in qmp_names(vm.quirks.label, vm.target)]


@QMP.command(
    "human-monitor-command",
    Argument("command-line", Plain("string")),
    Argument("cpu-index", Plain("integer"), optional=True),
)
def human_monitor_command(vm: Vm, arguments: Arguments) -> object:
    """What HMP prints for one line; its errors are text, too (monitor.md 4.3)."""
    cpu = arguments.get("cpu-index", 0)
    assert isinstance(cpu, int)
    if "cpu-index" in arguments and not 0 <= cpu < vm.cpus:
        raise CommandError("Parameter 'cpu-index' expects a CPU number")
    line = arguments["command-line"]
    assert isinstance(line, str)
    return run(vm, line)


@QMP.command("quit")
def quit_(vm: Vm, arguments: Arguments) -> object:
    """End the machine; the SHUTDOWN event comes before this reply."""
    vm.shutdown("host-qmp-quit")
    return {}
