"""What can be done before the machine is made (-preconfig): NUMA nodes, objects, and the command that goes on.

Which commands QEMU permits then was asked of 7.2, 10.0 and 11.1, command by command.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from qshim.argv import OptionError
from qshim.argv.plan import NumaPlan
from qshim.errors import QshimError
from qshim.monitor.qmp.table import QMP
from qshim.monitor.registry import CommandError

if TYPE_CHECKING:
    from qshim.vm import Vm

__all__ = ["PERMITTED", "set_numa_node", "x_exit_preconfig"]

Arguments = Mapping[str, object]

PERMITTED = frozenset((
    "block-commit", "block-dirty-bitmap-add", "block-dirty-bitmap-clear", "block-dirty-bitmap-disable",
    "block-dirty-bitmap-enable", "block-dirty-bitmap-merge", "block-dirty-bitmap-remove", "block-export-add",
    "block-export-del", "block-job-cancel", "block-job-complete", "block-job-dismiss", "block-job-finalize",
    "block-job-pause", "block-job-resume", "block-job-set-speed", "block-latency-histogram-set",
    "block-set-write-threshold", "block-stream", "block_resize", "block_set_io_throttle", "blockdev-add",
    "blockdev-backup", "blockdev-create", "blockdev-del", "blockdev-mirror", "blockdev-reopen",
    "blockdev-set-active", "blockdev-snapshot", "blockdev-snapshot-delete-internal-sync",
    "blockdev-snapshot-internal-sync", "blockdev-snapshot-sync", "change-backing-file", "drive-backup",
    "drive-mirror", "nbd-server-add", "nbd-server-remove", "nbd-server-start", "nbd-server-stop", "netdev_add",
    "netdev_del", "object-add", "object-del", "qmp_capabilities", "qom-get", "qom-list", "qom-list-get",
    "qom-list-properties", "qom-list-types", "qom-set", "query-block", "query-block-exports",
    "query-block-jobs", "query-blockstats", "query-chardev", "query-command-line-options", "query-commands",
    "query-hotpluggable-cpus", "query-iothreads", "query-memdev", "query-name", "query-named-block-nodes",
    "query-pr-managers", "query-qmp-schema", "query-status", "query-uuid", "query-version", "quit",
    "set-action", "set-numa-node", "x-blockdev-amend", "x-blockdev-change", "x-blockdev-set-iothread",
    "x-debug-block-dirty-bitmap-sha256", "x-debug-query-block-graph", "x-exit-preconfig",
))  # fmt: skip
"""Commands that are carried out before the machine is there."""
_WHERE = "set-numa-node"


@QMP.command("x-exit-preconfig")
def x_exit_preconfig(vm: Vm, arguments: Arguments) -> object:
    """Make the machine, and let it run unless somebody said -S. A machine that cannot be made ends QEMU."""
    if vm.preconfig is None:
        raise CommandError("The command is permitted only before machine initialization")
    try:
        vm.complete()
    except QshimError as error:
        vm.fail(error)
        raise CommandError(str(error)) from error
    return {}


@QMP.command("set-numa-node")
def set_numa_node(vm: Vm, arguments: Arguments) -> object:
    """Do what -numa does."""
    if vm.preconfig is None:
        raise CommandError("The command is permitted only before the machine has been created")
    machine: Any = vm.machine_model
    if machine is None:
        raise CommandError("set-numa-node is not modelled by qshim for a recorded machine")
    given = dict(arguments)
    kind, cpus = str(given.pop("type")), given.pop("cpus", ())
    assert isinstance(cpus, (list, tuple))
    values = {name: value if isinstance(value, str) else str(value) for name, value in given.items()}
    try:
        machine.add_numa(NumaPlan(_WHERE, kind, values, tuple(cpus)))
    except OptionError as error:
        # a second line is a hint, which goes to standard error
        raise CommandError(error.reports[0].removeprefix(f"{_WHERE}: ").partition("\n")[0]) from error
    return {}
