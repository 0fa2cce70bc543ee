"""QMP commands about the process and the monitor itself: version, status, name, commands, schema, HMP, quit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from qshim.monitor.qmp.table import QMP
from qshim.monitor.registry import CommandError

if TYPE_CHECKING:
    from qshim.monitor.schema import Schema
    from qshim.vm import Vm

__all__ = [
    "human_monitor_command", "query_command_line_options", "query_commands", "query_name", "query_qmp_schema",
    "query_status", "query_target", "query_uuid", "query_version", "quit_",
]  # fmt: skip

Arguments = Mapping[str, object]

_NO_UUID = "00000000-0000-0000-0000-000000000000"


def _schema(vm: Vm) -> Schema:
    # the greeting needs query-version and nothing else of this file
    from qshim.monitor.qmp.extensions import schema_for

    return schema_for(vm)


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
        status["singlestep"] = vm.single_step
    status["status"] = vm.run_state
    return status


@QMP.command("query-name")
def query_name(vm: Vm, arguments: Arguments) -> object:
    """The name given with -name; no member without one."""
    return {} if vm.name is None else {"name": vm.name}


@QMP.command("query-uuid")
def query_uuid(vm: Vm, arguments: Arguments) -> object:
    """The UUID given with -uuid; zeros without one."""
    return {"UUID": vm.uuid or _NO_UUID}


@QMP.command("query-target")
def query_target(vm: Vm, arguments: Arguments) -> object:
    """The architecture of the guest."""
    return {"arch": vm.target}


@QMP.command("query-commands")
def query_commands(vm: Vm, arguments: Arguments) -> object:
    """Everything that this QEMU binary advertises, in its order, modelled here or not."""
    return [{"name": name} for name in _schema(vm).command_names()]


@QMP.command("query-qmp-schema")
def query_qmp_schema(vm: Vm, arguments: Arguments) -> object:
    """The schema of this QEMU binary."""
    return _schema(vm).entities


@QMP.command("query-command-line-options")
def query_command_line_options(vm: Vm, arguments: Arguments) -> object:
    """The groups of options and their parameters; of one group, with `option`."""
    groups = _schema(vm).command_line_options
    if "option" not in arguments:
        return groups
    found = [group for group in groups if group["option"] == arguments["option"]]
    if not found:
        raise CommandError(f"invalid option name: {arguments['option']}")
    return found


@QMP.command("human-monitor-command")
def human_monitor_command(vm: Vm, arguments: Arguments) -> object:
    """What HMP prints for one line; its errors are text, too (monitor.md 4.3)."""
    from qshim.monitor.hmp.line import run
    from qshim.monitor.hmp.table import Monitor

    line = arguments["command-line"]
    assert isinstance(line, str)
    cpu = arguments.get("cpu-index")
    assert cpu is None or isinstance(cpu, int)
    if cpu is not None and not 0 <= cpu < vm.cpus:
        raise CommandError("Parameter 'cpu-index' expects a CPU number")
    return run(vm, line, None if cpu is None else Monitor(cpu=cpu))


@QMP.command("quit")
def quit_(vm: Vm, arguments: Arguments) -> object:
    """End the machine; the SHUTDOWN event comes before this reply."""
    vm.shutdown("host-qmp-quit")
    return {}
