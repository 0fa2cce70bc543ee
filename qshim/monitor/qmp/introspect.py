"""qshim's own commands: the memory views as typed values, with `--extensions` (see `qmp.extensions`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from qshim.monitor.qmp.table import QMP

if TYPE_CHECKING:
    from qshim.vm import Vm

__all__ = ["x_qshim_query_flatview", "x_qshim_query_mtree", "x_qshim_query_ramblock"]

Arguments = Mapping[str, object]


@QMP.command("x-qshim-query-mtree")
def x_qshim_query_mtree(vm: Vm, arguments: Arguments) -> object:
    """The region trees."""
    from qshim.views.typed import tree_json

    return vm.kept("x-qshim-query-mtree", lambda: tree_json(vm))


@QMP.command("x-qshim-query-flatview")
def x_qshim_query_flatview(vm: Vm, arguments: Arguments) -> object:
    """The flat views."""
    from qshim.views.typed import flat_json

    return vm.kept("x-qshim-query-flatview", lambda: flat_json(vm))


@QMP.command("x-qshim-query-ramblock")
def x_qshim_query_ramblock(vm: Vm, arguments: Arguments) -> object:
    """The RAM blocks."""
    from qshim.views.typed import ramblock_json

    return ramblock_json(vm)
