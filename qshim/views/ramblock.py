"""`info ramblock`: the RAM blocks, largest first (spec/memory.md 5.5)."""

from __future__ import annotations

from collections.abc import Sequence

from qshim.rows import BlockRow
from qshim.units import hex_0x16, size_text
from qshim.versions import Quirks
from qshim.views.viewed import Viewed

__all__ = ["block_line", "blocks", "blocks_text"]


def blocks(vm: Viewed) -> tuple[BlockRow, ...]:
    """The rows of `info ramblock` in list order; host addresses are mapped now where the dialect shows them."""
    shows_host = vm.quirks.ramblock_shows_host
    return tuple(
        BlockRow(
            block.idstr,
            block.page_size,
            block.offset,
            block.used_length,
            block.max_length,
            block.host if shows_host else None,
            (block.region is not None and block.region.readonly) if shows_host else None,
        )
        for block in vm.topology.ram.blocks
    )


def blocks_text(rows: Sequence[BlockRow], quirks: Quirks) -> str:
    """The text of `info ramblock`, lines ended by a newline."""
    header = f"{'Block Name':>24} {'PSize':>8}  {'Offset':>18} {'Used':>18} {'Total':>18}"
    lines = [f"{header} {'HVA':>18} {'RO':>3}\n" if quirks.ramblock_shows_host else f"{header}\n"]
    lines += [f"{block_line(row)}\n" for row in rows]
    return "".join(lines)


def block_line(row: BlockRow) -> str:
    """One line of `info ramblock`, without its newline."""
    line = (
        f"{row.name:>24} {size_text(row.page_size):>8}  "
        f"{hex_0x16(row.offset)} {hex_0x16(row.used_length)} {hex_0x16(row.max_length)}"
    )
    return line if row.host is None else f"{line} {hex_0x16(row.host)} {'ro' if row.readonly else 'rw':>3}"
