"""QMP commands that show the machine's memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from qshim.monitor.hmp.memory import ramblock_text
from qshim.monitor.qmp.table import QMP

if TYPE_CHECKING:
    from qshim.vm import Vm

__all__ = ["x_query_ramblock"]


@QMP.command("x-query-ramblock")
def x_query_ramblock(vm: Vm, arguments: Mapping[str, object]) -> object:
    """The text of `info ramblock`, with plain line ends."""
    return {"human-readable-text": vm.kept("ramblock", lambda: ramblock_text(vm))}
