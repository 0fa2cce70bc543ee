"""Dirty bitmaps over ram_addr_t (spec/memory.md 5.12).

QEMU keeps one bit for each page. Almost always whole blocks are dirty or clean, so a bitmap is
kept here as the sorted boundaries between clean and dirty stretches: a terabyte that is wholly
dirty takes two numbers.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from enum import IntEnum

__all__ = ["DirtyBitmaps", "DirtyClient", "DirtySnapshot", "PageSet"]

SNAPSHOT_PAGES = 64
"""Snapshots are taken of whole groups of 64 pages, the bits of a host word."""


class DirtyClient(IntEnum):
    """Who asks; the number of the bitmap and of the bit in a dirty-log mask."""

    VGA = 0
    CODE = 1
    MIGRATION = 2


class PageSet:
    """A set of page numbers as boundaries: pages from an even-placed one up to the next are in it.

    >>> s = PageSet(); s.add(2, 5); s.add(5, 7); s.discard(3, 4); s.stretches(0, 10)
    [(2, 3), (4, 7)]
    """

    __slots__ = ("_edges",)

    def __init__(self) -> None:
        self._edges: list[int] = []

    def add(self, first: int, end: int) -> None:
        """Put pages [first, end) in."""
        if first < end:
            low, high = bisect_left(self._edges, first), bisect_right(self._edges, end)
            self._edges[low:high] = ([] if low % 2 else [first]) + ([] if high % 2 else [end])

    def discard(self, first: int, end: int) -> None:
        """Take pages [first, end) out."""
        if first < end:
            low, high = bisect_left(self._edges, first), bisect_right(self._edges, end)
            self._edges[low:high] = ([first] if low % 2 else []) + ([end] if high % 2 else [])

    def any(self, first: int, end: int) -> bool:
        """Whether some page of [first, end) is in."""
        at = bisect_right(self._edges, first)
        return first < end and (at % 2 == 1 or (at < len(self._edges) and self._edges[at] < end))

    def all(self, first: int, end: int) -> bool:
        """Whether every page of [first, end) is in."""
        at = bisect_right(self._edges, first)
        return first >= end or (at % 2 == 1 and self._edges[at] >= end)

    def stretches(self, first: int, end: int) -> list[tuple[int, int]]:
        """The stretches [from, to) of pages of [first, end) that are in."""
        low, high = bisect_right(self._edges, first), bisect_left(self._edges, end)
        edges = [first] * (low % 2) + self._edges[low:high] + [end] * (high % 2)
        return list(zip(edges[::2], edges[1::2], strict=True)) if first < end else []


class DirtySnapshot:
    """Which pages were dirty when it was taken; *start* and *end* are ram_addr_t, group-aligned."""

    def __init__(self, pages: PageSet, page_bits: int, start: int, end: int) -> None:
        self._pages = pages
        self._page_bits = page_bits
        self.start = start
        self.end = end

    def any(self, start: int, length: int) -> bool:
        """Whether some page of [start, start + length) was dirty."""
        return self._pages.any(*_pages(start, length, self._page_bits))


class DirtyBitmaps:
    """The three bitmaps; addresses are ram_addr_t in bytes, they act on whole target pages."""

    def __init__(self, page_bits: int) -> None:
        self.page_bits = page_bits
        self._sets = {client: PageSet() for client in DirtyClient}

    def set_range(self, start: int, length: int, mask: int = 0b111) -> None:
        """Make [start, start + length) dirty for the clients in *mask*."""
        first, end = _pages(start, length, self.page_bits)
        for client, pages in self._sets.items():
            if mask >> client & 1:
                pages.add(first, end)

    def is_dirty(self, start: int, length: int, client: DirtyClient) -> bool:
        """Whether some page of the range is dirty for *client*."""
        return self._sets[client].any(*_pages(start, length, self.page_bits))

    def clean_clients(self, start: int, length: int, mask: int) -> int:
        """Those clients of *mask* for which some page of the range is clean."""
        first, end = _pages(start, length, self.page_bits)
        return sum(
            1 << client
            for client, pages in self._sets.items()
            if mask >> client & 1 and not pages.all(first, end)
        )

    def test_and_clear(self, start: int, length: int, client: DirtyClient) -> bool:
        """Whether some page of the range was dirty for *client*, which is clean now."""
        first, end = _pages(start, length, self.page_bits)
        was_dirty = self._sets[client].any(first, end)
        self._sets[client].discard(first, end)
        return was_dirty

    def snapshot_and_clear(self, start: int, length: int, client: DirtyClient) -> DirtySnapshot:
        """What is dirty in the groups of 64 pages that meet the range, which are clean now."""
        group = SNAPSHOT_PAGES << self.page_bits
        low, high = start // group * group, -(-(start + length) // group) * group
        first, end = low >> self.page_bits, high >> self.page_bits
        taken = PageSet()
        for stretch in self._sets[client].stretches(first, end):
            taken.add(*stretch)
        self._sets[client].discard(first, end)
        return DirtySnapshot(taken, self.page_bits, low, high)

    def clear_range(self, start: int, length: int) -> None:
        """Make the range clean for everybody (a block goes or is resized)."""
        first, end = _pages(start, length, self.page_bits)
        for pages in self._sets.values():
            pages.discard(first, end)


def _pages(start: int, length: int, page_bits: int) -> tuple[int, int]:
    page = 1 << page_bits
    return start >> page_bits, (start + length + page - 1) >> page_bits if length else start >> page_bits
