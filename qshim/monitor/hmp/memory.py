"""HMP commands that show the machine's memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qshim.monitor.hmp.bridge import ask, ask_list
from qshim.monitor.hmp.table import HMP, Call

if TYPE_CHECKING:
    from qshim.vm import Vm

__all__ = [
    "info_memdev", "info_memory_devices", "info_memory_size_summary", "info_mtree", "info_ramblock", "ramblock_text",
]  # fmt: skip


@HMP.command("info mtree", stable=True)
def info_mtree(call: Call) -> str:
    """The region trees, or with -f the flat views; -d counts only with -f, -D only without (memory.md 6.1)."""
    owner = call.flag("owner")
    if call.flag("flatview"):
        from qshim.views.flatview import flat, flat_text

        return flat_text(flat(call.vm, owner=owner, dispatch=call.flag("dispatch_tree")))
    from qshim.views.mtree import tree, tree_text

    return tree_text(tree(call.vm, owner=owner, disabled=call.flag("disabled")))


@HMP.command("info ramblock", stable=True)
def info_ramblock(call: Call) -> str:
    """The RAM blocks."""
    return ramblock_text(call.vm)


def ramblock_text(vm: Vm) -> str:
    """The text that `info ramblock` and x-query-ramblock share."""
    from qshim.views.ramblock import blocks, blocks_text

    return blocks_text(blocks(vm), vm.quirks)


@HMP.command("info memdev")
def info_memdev(call: Call) -> str:
    """The memory backends, and an empty line."""
    from qshim.views.memory_devices import memdev_text

    return memdev_text(ask_list(call.vm, "query-memdev"))


@HMP.command("info memory-devices")
def info_memory_devices(call: Call) -> str:
    """DIMMs and other memory devices, by address."""
    from qshim.views.memory_devices import memory_devices_text

    return memory_devices_text(ask_list(call.vm, "query-memory-devices"))


@HMP.command("info memory_size_summary")
def info_memory_size_summary(call: Call) -> str:
    """Bytes of memory that the machine began with, and that were plugged."""
    summary = ask(call.vm, "query-memory-size-summary")
    text = f"base memory: {summary['base-memory']}\n"
    if "plugged-memory" in summary:
        text += f"plugged memory: {summary['plugged-memory']}\n"
    return text
