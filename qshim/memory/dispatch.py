"""AddressSpaceDispatch: how QEMU finds the section for an address (spec/memory.md 4).

Everything that can be computed from the flat ranges is computed from them: `FlatView.find` gives
the same answer faster. This structure exists because `info mtree -f -d` shows it, node by node: its
numbering, its sub-pages and its compaction are part of what people compare.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING

from qshim.errors import MemoryModelError
from qshim.units import SPACE

if TYPE_CHECKING:
    from qshim.memory.flatview import FlatRange
    from qshim.memory.region import MemoryRegion

__all__ = ["ENTRIES", "NIL", "Dispatch", "Entry", "Section"]

ENTRIES = 512
_BITS = 9
NIL = 0x3FFFFFF
"""The pointer that points nowhere; it has 26 bits."""

Entry = tuple[int, int]
"""(skip, ptr): skip 0 makes ptr the number of a section, else of a node that many levels below."""

_LEAF_EMPTY: Entry = (0, 0)
_NODE_EMPTY: Entry = (1, NIL)
_start = attrgetter("start")


@dataclass(slots=True, eq=False)
class Section:
    """A physical section. *region* None: section 0 (unassigned), or a page that several sections share."""

    region: MemoryRegion | None
    offset: int
    start: int
    size: int
    parts: list[Section] = field(default_factory=list)
    """For a shared page: its sections, ascending."""

    @property
    def is_subpage(self) -> bool:
        """Whether this is a page divided between several sections."""
        return bool(self.parts)

    def covers(self, addr: int) -> bool:
        """Whether *addr* lies in it."""
        return self.start <= addr < self.start + self.size


class Dispatch:
    """Sections and nodes for the ranges of one view, numbered as QEMU numbers them.

    :raises MemoryModelError: there are more sections than a page has bytes (QEMU asserts).
    """

    def __init__(self, ranges: Iterable[FlatRange], page_bits: int) -> None:
        self.page_bits = page_bits
        self.levels = (64 - page_bits - 1) // _BITS + 1
        self.sections = [Section(None, 0, 0, SPACE)]
        self.nodes: list[list[Entry]] = []
        self.root: Entry = _NODE_EMPTY
        self._subpages: dict[int, Section] = {}
        for r in ranges:
            self._add(r)
        if self.root[0]:
            self.root = self._compacted(self.root)

    # --- building (memory.md 4.2, 4.3) ---

    def _add(self, r: FlatRange) -> None:
        """Split a range into a head, whole pages and a tail."""
        page = 1 << self.page_bits
        start, offset, left = r.start, r.offset, r.size
        if start % page:
            head = min(page - start % page, left)
            self._add_part(Section(r.region, offset, start, head))
            start, offset, left = start + head, offset + head, left - head
        body = left // page * page
        if body:
            index = self._append(Section(r.region, offset, start, body))
            self._set_pages(start >> self.page_bits, body >> self.page_bits, index)
            start, offset, left = start + body, offset + body, left - body
        if left:
            self._add_part(Section(r.region, offset, start, left))

    def _add_part(self, part: Section) -> None:
        page = part.start >> self.page_bits
        shared = self._subpages.get(page)
        if shared is None:
            shared = Section(None, 0, page << self.page_bits, 1 << self.page_bits)
            index = self._append(shared)
            self._set_pages(page, 1, index)
            self._subpages[page] = shared
        self._append(part)
        shared.parts.append(part)

    def _append(self, section: Section) -> int:
        if len(self.sections) >= 1 << self.page_bits:
            raise MemoryModelError(
                f"a dispatch with pages of {1 << self.page_bits} bytes cannot hold more than "
                f"{(1 << self.page_bits) - 1} sections"
            )
        self.sections.append(section)
        return len(self.sections) - 1

    def _new_node(self, level: int) -> int:
        self.nodes.append([_LEAF_EMPTY if level == 0 else _NODE_EMPTY] * ENTRIES)
        return len(self.nodes) - 1

    def _set_pages(self, page: int, count: int, section: int) -> None:
        if self.root[1] == NIL:
            self.root = (self.root[0], self._new_node(self.levels - 1))
        self._set_level(self.root[1], page, count, section, self.levels - 1)

    def _set_level(self, node: int, page: int, count: int, section: int, level: int) -> tuple[int, int]:
        """Enter pages below one node; what is left of (page, count) behind it."""
        entries = self.nodes[node]
        shift = _BITS * level
        step = 1 << shift
        slot = page >> shift & ENTRIES - 1
        while count and slot < ENTRIES:
            if page & step - 1 == 0 and count >= step:
                whole = min(count >> shift, ENTRIES - slot)
                entries[slot : slot + whole] = [(0, section)] * whole
                page, count, slot = page + whole * step, count - whole * step, slot + whole
                continue
            skip, child = entries[slot]
            if child == NIL:
                child = self._new_node(level - 1)
                entries[slot] = (skip, child)
            page, count = self._set_level(child, page, count, section, level - 1)
            slot += 1
        return page, count

    def _compacted(self, entry: Entry) -> Entry:
        """Let entries skip nodes with a single way on; the skipped nodes stay in the list."""
        skip, ptr = entry
        if ptr == NIL:
            return entry
        entries = self.nodes[ptr]
        valid = 0
        only = _NODE_EMPTY
        for slot, (slot_skip, slot_ptr) in enumerate(entries):
            if slot_ptr == NIL:
                continue
            valid += 1
            if slot_skip:
                entries[slot] = self._compacted((slot_skip, slot_ptr))
            only = entries[slot]
        if valid != 1:
            return entry
        return (0 if only[0] == 0 else skip + only[0], only[1])

    # --- lookup (memory.md 4.4) ---

    def lookup(self, addr: int) -> Section:
        """The section that QEMU finds for *addr* before sub-pages are resolved; section 0 for nothing."""
        index = addr >> self.page_bits
        level = self.levels
        skip, ptr = self.root
        while skip:
            level -= skip
            if level < 0 or ptr == NIL:
                return self.sections[0]
            skip, ptr = self.nodes[ptr][index >> _BITS * level & ENTRIES - 1]
        found = self.sections[ptr]
        return found if found.covers(addr) else self.sections[0]

    def resolve(self, addr: int) -> Section:
        """The section that answers accesses to *addr*; section 0 for a hole, also within a shared page."""
        found = self.lookup(addr)
        if not found.is_subpage:
            return found
        at = bisect_right(found.parts, addr, key=_start) - 1
        if at >= 0 and found.parts[at].covers(addr):
            return found.parts[at]
        return self.sections[0]
