"""FlatView: what is visible at each address of a root, frozen (spec/memory.md 2).

The ranges lie in chunks of bounded length, so that the view after a change shares all chunks that
the change did not touch with the view before it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from qshim.memory.dispatch import Dispatch
    from qshim.memory.region import MemoryRegion

__all__ = ["FlatRange", "FlatView", "Window"]

_CHUNK = 64
_start = itemgetter(2)


class FlatRange(NamedTuple):
    """A stretch of addresses in which one region is visible (memory.md 2.2)."""

    region: MemoryRegion
    offset: int
    """Offset in *region* of the first byte."""
    start: int
    size: int
    """1 to 2^64 bytes."""
    dirty_log_mask: int
    romd_mode: bool
    readonly: bool
    """Inherited: some region on the way down is read-only."""
    nonvolatile: bool
    unmergeable: bool

    @property
    def end(self) -> int:
        """First address behind the range."""
        return self.start + self.size

    @property
    def last(self) -> int:
        """Last address in the range."""
        return self.start + self.size - 1

    def same_mapping(self, other: FlatRange) -> bool:
        """Equal to a listener: everything but the dirty-log mask (memory.md 3.2)."""
        return self[:4] == other[:4] and self[5:] == other[5:]

    def absorbs(self, follower: FlatRange) -> bool:
        """Whether *follower*, the next range, continues this one (memory.md 2.3)."""
        return (
            self[0] is follower[0]
            and self[2] + self[3] == follower[2]
            and self[1] + self[3] == follower[1]
            and self[4:] == follower[4:]
            and not self[8]
        )


class Window(NamedTuple):
    """A place where two views differ: the ranges that went and those that came, both ascending."""

    old: tuple[FlatRange, ...]
    new: tuple[FlatRange, ...]


Chunk = tuple[FlatRange, ...]


class FlatView:
    """The ranges of one resolved root, ascending and disjoint; never changes.

    *root* is None for the one empty view that all roots share which show nothing (memory.md 2.1).
    """

    __slots__ = ("_chunks", "_dispatch", "_ranges", "_starts", "last_lookup", "origin", "page_bits", "root")

    def __init__(self, root: MemoryRegion | None, chunks: Sequence[Chunk], page_bits: int) -> None:
        self.root = root
        self.origin = 0 if root is None else root.addr
        self.page_bits = page_bits
        self.last_lookup: int | None = None
        """Address of the last lookup, for the MRU mark of the dispatch text; not part of the view's value."""
        self._chunks = tuple(chunks)
        self._starts = [chunk[0].start for chunk in self._chunks]
        self._ranges: tuple[FlatRange, ...] | None = None
        self._dispatch: Dispatch | None = None

    @classmethod
    def of(cls, root: MemoryRegion | None, ranges: Sequence[FlatRange], page_bits: int) -> FlatView:
        """A view of *ranges*, which are ascending, disjoint and simplified."""
        return cls(root, [tuple(ranges[at : at + _CHUNK]) for at in range(0, len(ranges), _CHUNK)], page_bits)

    @property
    def ranges(self) -> tuple[FlatRange, ...]:
        """All ranges, ascending."""
        if self._ranges is None:
            self._ranges = tuple(chain.from_iterable(self._chunks))
        return self._ranges

    @property
    def is_empty(self) -> bool:
        """No range at all."""
        return not self._chunks

    def find(self, addr: int) -> FlatRange | None:
        """The range that covers *addr*, or None for a hole."""
        at = bisect_right(self._starts, addr) - 1
        if at < 0:
            return None
        chunk = self._chunks[at]
        found = chunk[bisect_right(chunk, addr, key=_start) - 1]
        return found if addr < found.start + found.size else None

    def dispatch(self) -> Dispatch:
        """The physical dispatch of this view (memory.md 4), built when first asked for."""
        if self._dispatch is None:
            from qshim.memory.dispatch import Dispatch

            self._dispatch = Dispatch(self.ranges, self.page_bits)
        return self._dispatch

    def touching(self, low: int, high: int) -> tuple[FlatRange, ...]:
        """Ranges that meet [low, high] or end at *low* or start at *high*."""
        first, final = self._chunks_touching(low, high)
        return tuple(
            r for chunk in self._chunks[first:final] for r in chunk if r.start <= high and r.start + r.size >= low
        )

    def _chunks_touching(self, low: int, high: int) -> tuple[int, int]:
        first = max(bisect_right(self._starts, low) - 1, 0)
        # the last range of the chunk before may end exactly at low
        if first and self._chunks[first - 1][-1].end >= low:
            first -= 1
        return first, bisect_right(self._starts, high)

    def spliced(self, low: int, high: int, middle: Iterable[FlatRange]) -> FlatView:
        """This view with the ranges that touch [low, high] replaced by *middle*."""
        first, final = self._chunks_touching(low, high)
        around = [r for chunk in self._chunks[first:final] for r in chunk]
        kept_below = [r for r in around if r.start + r.size < low]
        kept_above = [r for r in around if r.start > high]
        merged = [*kept_below, *middle, *kept_above]
        # small neighbours are taken in, so that many changes do not leave many tiny chunks
        if len(merged) < _CHUNK // 4 and final < len(self._chunks):
            merged += self._chunks[final]
            final += 1
        fresh = [tuple(merged[at : at + _CHUNK]) for at in range(0, len(merged), _CHUNK)]
        return FlatView(self.root, (*self._chunks[:first], *fresh, *self._chunks[final:]), self.page_bits)
