"""Rule 15: which RAM block backs which region, and which i/o region is a ROM device in command mode."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise

from qshim.recording.infer.nodes import Node, contradiction
from qshim.rows import BlockRow

__all__ = ["assign_blocks", "check_order"]

_SLACK = 1 << 16
"""Blocks are rounded up to pages, of at most 64 KiB."""

_NUMBER = re.compile(r"(\d+)")
_DOMAIN = re.compile(r"^[0-9a-f]{4}:[0-9a-f]{2}:")
"""Domain and root bus in front of the slots of a PCI device's path."""


def check_order(blocks: tuple[BlockRow, ...]) -> None:
    """Blocks are listed by descending total length and do not overlap (spec/memory.md 5.3).

    :raises RecordingError: they are not, or do.
    """
    for one, other in pairwise(blocks):
        if one.max_length < other.max_length:
            contradiction(
                f"'info ramblock' lists block '{one.name}' with a total of {one.max_length:#x} before '{other.name}' "
                f"with {other.max_length:#x}; QEMU lists the larger one first"
            )
    placed = sorted(blocks, key=lambda block: block.offset)
    for one, other in pairwise(placed):
        if one.offset + one.max_length > other.offset:
            contradiction(
                f"the blocks '{one.name}' at {one.offset:#x} and '{other.name}' at {other.offset:#x} of "
                "'info ramblock' overlap"
            )


def assign_blocks(
    nodes: list[Node], blocks: tuple[BlockRow, ...], places: Mapping[str, str] | None = None
) -> tuple[int, ...]:
    """Set `block` of every region that has RAM; the indexes of the blocks that no printed region has.

    Equally named regions of several devices take the block that names their device's place, where
    *places* (device id -> `SLOT.FUNCTION`) knows it, else blocks in the order of their owners.

    :raises RecordingError: RAM without a block of its name and size.
    """
    check_order(blocks)
    by_name: dict[str, list[int]] = {}
    for index, block in enumerate(blocks):
        by_name.setdefault(_region_name(block.name), []).append(index)
    free = set(range(len(blocks)))
    memory = [node for node in nodes if node.is_memory]
    memory.sort(key=_by_owner)
    if places:
        _by_place(memory, blocks, places, by_name, free)
    for node in memory:
        if node.block is not None:
            continue
        node.block = _pick(node, [*by_name.get(node.name, ()), *by_name.get("", ())], blocks, free)
        if node.block is None:
            contradiction(f"'info ramblock' has no free block for {node.size:#x} bytes of this RAM", node)
        free.discard(node.block)
    for node in nodes:
        if node.alias is None and not node.is_memory and node.name in by_name and node.terminates is not False:
            node.block = _pick(node, by_name[node.name], blocks, free)
            if node.block is not None:
                free.discard(node.block)
                node.command_mode = True
    for node in memory:
        _compare_flag(node, blocks)
    return tuple(sorted(free))


def _compare_flag(node: Node, blocks: tuple[BlockRow, ...]) -> None:
    """The RO column is the region's own flag, which `ram` and `rom` say as well, and other types do not."""
    if node.block is None:
        return
    readonly = blocks[node.block].readonly
    if readonly is None or readonly == node.readonly:
        return
    if node.type in ("ram", "rom"):
        word = "ro" if readonly else "rw"
        contradiction(f"'info ramblock' says {word} of block '{blocks[node.block].name}', the tree does not", node)
    node.readonly = node.readonly or readonly


def _by_place(
    memory: list[Node],
    blocks: tuple[BlockRow, ...],
    places: Mapping[str, str],
    by_name: dict[str, list[int]],
    free: set[int],
) -> None:
    for node in memory:
        place = places.get(node.owner.value) if node.owner is not None and node.owner.key == "id" else None
        if place is not None:
            mine = [i for i in by_name.get(node.name, ()) if _DOMAIN.sub("", blocks[i].name) == f"{place}/{node.name}"]
            node.block = _pick(node, mine, blocks, free)
            if node.block is not None:
                free.discard(node.block)


def _region_name(idstr: str) -> str:
    """The name of the region in a block's name: behind the device path, if it has one."""
    if idstr.startswith("/"):
        return idstr
    return idstr.rpartition("/")[2]


def _pick(node: Node, options: list[int], blocks: tuple[BlockRow, ...], free: set[int]) -> int | None:
    fitting = [i for i in options if i in free and 0 <= blocks[i].used_length - node.size < _SLACK]
    # a block with the printed flag, and a named one, is the better of two
    return min(
        fitting, default=None, key=lambda i: (blocks[i].readonly not in (None, node.readonly), not blocks[i].name)
    )


def _by_owner(node: Node) -> list[tuple[int, str]]:
    """Order of creation as far as numbers in paths tell it: `device[4]` before `device[19]`."""
    text = node.owner.value if node.owner is not None else ""
    return [(int(part), "") if part.isdigit() else (0, part) for part in _NUMBER.split(text)]
