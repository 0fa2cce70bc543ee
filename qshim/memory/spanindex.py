"""Which children of a large container meet a stretch of addresses, without asking all of them.

A child that covers `start..last` is filed under the smallest aligned power-of-two block that holds
it whole. A query looks, block size by block size, only at the blocks that meet it. Children lie at
natural alignments almost always, so few candidates are false.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qshim.memory.region import MemoryRegion

__all__ = ["SpanIndex"]


class SpanIndex:
    """Regions by the addresses they cover; a region of size 0 covers none and is not filed."""

    __slots__ = ("_blocks", "_keys")

    def __init__(self) -> None:
        self._blocks: dict[tuple[int, int], dict[MemoryRegion, tuple[int, int]]] = {}
        # sorted block numbers for each block size (its log2)
        self._keys: dict[int, list[int]] = {}

    def add(self, region: MemoryRegion, start: int, size: int) -> None:
        """File *region* as covering *size* bytes from *start*."""
        if not size:
            return
        last = start + size - 1
        level = (start ^ last).bit_length()
        key = start >> level
        block = self._blocks.get((level, key))
        if block is None:
            block = self._blocks[level, key] = {}
            insort(self._keys.setdefault(level, []), key)
        block[region] = (start, last)

    def remove(self, region: MemoryRegion, start: int, size: int) -> None:
        """Take *region* out again; *start* and *size* as they were given to `add`."""
        if not size:
            return
        level = (start ^ (start + size - 1)).bit_length()
        key = start >> level
        block = self._blocks[level, key]
        del block[region]
        if not block:
            del self._blocks[level, key]
            keys = self._keys[level]
            del keys[bisect_left(keys, key)]
            if not keys:
                del self._keys[level]

    def meeting(self, low: int, high: int) -> list[MemoryRegion]:
        """Regions with at least one address in [low, high), in no particular order."""
        found: list[MemoryRegion] = []
        for level, keys in self._keys.items():
            first, final = low >> level, (high - 1) >> level
            for key in keys[bisect_left(keys, first) : bisect_right(keys, final)]:
                block = self._blocks[level, key]
                found += [region for region, (start, last) in block.items() if start < high and last >= low]
        return found
