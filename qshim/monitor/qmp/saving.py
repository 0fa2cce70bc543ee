"""QMP commands that save guest memory to files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from qshim.monitor import memory_ops
from qshim.monitor.qmp.table import QMP

if TYPE_CHECKING:
    from qshim.vm import Vm

__all__ = ["memsave", "pmemsave"]


@QMP.command("memsave")
def memsave(vm: Vm, arguments: Mapping[str, object]) -> object:
    """Save virtual memory of a CPU."""
    addr, size, cpu = arguments["val"], arguments["size"], arguments.get("cpu-index", 0)
    assert isinstance(addr, int)
    assert isinstance(size, int)
    assert isinstance(cpu, int)
    memory_ops.memsave(vm, addr, size, str(arguments["filename"]), cpu)
    return {}


@QMP.command("pmemsave")
def pmemsave(vm: Vm, arguments: Mapping[str, object]) -> object:
    """Save physical memory."""
    addr, size = arguments["val"], arguments["size"]
    assert isinstance(addr, int)
    assert isinstance(size, int)
    memory_ops.pmemsave(vm, addr, size, str(arguments["filename"]))
    return {}
