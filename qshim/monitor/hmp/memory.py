"""HMP commands that show the machine's memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from qshim.monitor.hmp.arguments import Flag
from qshim.monitor.hmp.table import HMP

if TYPE_CHECKING:
    from qshim.vm import Vm

__all__ = ["info_mtree", "info_ramblock", "ramblock_text"]

Arguments = Mapping[str, object]


@HMP.command(
    "info mtree",
    Flag("flatview", "f"),
    Flag("dispatch_tree", "d"),
    Flag("owner", "o"),
    Flag("disabled", "D"),
    stable=True,
)
def info_mtree(vm: Vm, arguments: Arguments) -> str:
    """The region trees, or with -f the flat views; -d counts only with -f, -D only without (memory.md 6.1)."""
    owner = bool(arguments["owner"])
    if arguments["flatview"]:
        from qshim.views.flatview import flat, flat_text

        return flat_text(flat(vm, owner=owner, dispatch=bool(arguments["dispatch_tree"])))
    from qshim.views.mtree import tree, tree_text

    return tree_text(tree(vm, owner=owner, disabled=bool(arguments["disabled"])))


@HMP.command("info ramblock", stable=True)
def info_ramblock(vm: Vm, arguments: Arguments) -> str:
    """The RAM blocks."""
    return ramblock_text(vm)


def ramblock_text(vm: Vm) -> str:
    """The text that `info ramblock` and x-query-ramblock share."""
    from qshim.views.ramblock import blocks, blocks_text

    return blocks_text(blocks(vm), vm.quirks)
