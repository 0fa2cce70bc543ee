"""QMP commands that dump the guest's memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from qshim.monitor.dump import dump_of, start
from qshim.monitor.qmp.table import QMP

if TYPE_CHECKING:
    from qshim.vm import Vm

__all__ = ["dump_guest_memory", "query_dump"]

Arguments = Mapping[str, object]


@QMP.command("dump-guest-memory")
def dump_guest_memory(vm: Vm, arguments: Arguments) -> object:
    """Dump memory as ELF to a file or a passed descriptor."""
    begin, length = arguments.get("begin"), arguments.get("length")
    start(
        vm,
        str(arguments["protocol"]),
        paging=bool(arguments["paging"]),
        detach=bool(arguments.get("detach", False)),
        begin=begin if isinstance(begin, int) else None,
        length=length if isinstance(length, int) else None,
        form=str(arguments.get("format", "elf")),
        fds=vm.fds,
    )
    return {}


@QMP.command("query-dump")
def query_dump(vm: Vm, arguments: Arguments) -> object:
    """How far the last dump is."""
    return dump_of(vm).told()
