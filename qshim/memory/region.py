"""MemoryRegion: one node of the live memory tree (spec/memory.md 1).

A region is changed only through its methods, each of which is a transaction of its own when none is
open. A method changes the field and tells the `Topology` which addresses of which region may look
different now; nothing is rendered before the outermost transaction ends.

Two things are kept up to date here because the commit must not search for them: the order of a
container's children (`order`: descending priority, newest first) and the aliases that point at a
region (`aliases`), by which a change finds its way up to the roots.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING

from qshim.errors import MemoryModelError
from qshim.memory.ioevents import IoEventFd, Notifier
from qshim.memory.ops import RAM_DEVICE_OPS, UNASSIGNED_OPS, MemoryRegionOps
from qshim.memory.spanindex import SpanIndex
from qshim.units import SPACE, U64_MAX, AddrRange

if TYPE_CHECKING:
    from qshim.memory.iommu import Translate
    from qshim.memory.ramblock import RAMBlock
    from qshim.memory.topology import Topology

__all__ = ["DIRTY_CODE", "DIRTY_MIGRATION", "DIRTY_VGA", "MemoryRegion"]

DIRTY_VGA, DIRTY_CODE, DIRTY_MIGRATION = 1 << 0, 1 << 1, 1 << 2
"""Bits of a dirty-log mask; the bit number is the number of the bitmap (memory.md 1.6, 5.12)."""

_INDEX_FROM = 32
"""Containers with more children than this answer `children_meeting` from an index."""

_order = attrgetter("order")


class MemoryRegion:
    """A container by default; the class methods make the other kinds (memory.md 1.2).

    *size* is in bytes, 0 to 2^64; 2^64 - 1 means 2^64, as everywhere in QEMU (memory.md 1.1).
    *owner* is whatever object the region belongs to, *parent* the one it hangs below in the object
    tree (the owner unless told otherwise); this package never looks inside either.
    """

    __slots__ = (
        "_children", "_index", "_newest", "addr", "alias", "alias_offset", "aliases", "align", "coalesced",
        "container", "destructor", "dirty_log_mask", "enabled", "enabled_children", "flush_coalesced_mmio",
        "ioeventfds", "is_iommu", "mapped_via_alias", "name", "nonvolatile", "ops", "order", "owner", "parent",
        "priority", "ram", "ram_block", "ram_device", "readonly", "reentrancy_guard", "rom_device", "romd_mode",
        "size", "terminates", "topology", "translate", "unmergeable", "vga_logging_count",
    )  # fmt: skip

    def __init__(
        self,
        topology: Topology,
        name: str | None,
        size: int,
        *,
        owner: object | None = None,
        parent: object | None = None,
    ) -> None:
        if not 0 <= size <= SPACE:
            raise MemoryModelError(f"memory region '{name}' cannot have the size {size:#x}: it must be 0 to 2^64")
        self.topology = topology
        self.name = name
        self.owner = owner
        self.parent = owner if parent is None else parent
        self.container: MemoryRegion | None = None
        self.addr = 0
        self.size = SPACE if size == U64_MAX else size
        self.priority = 0
        self.order = (0, 0)
        self.enabled = True
        self.ram = self.ram_device = self.rom_device = self.is_iommu = False
        self.romd_mode = True
        self.readonly = self.nonvolatile = self.unmergeable = False
        self.terminates = False
        self.alias: MemoryRegion | None = None
        self.alias_offset = 0
        self.aliases: list[MemoryRegion] = []
        self.mapped_via_alias = 0
        self.ops: MemoryRegionOps = UNASSIGNED_OPS
        self.ram_block: RAMBlock | None = None
        self.align = 0
        self.dirty_log_mask = 0
        self.vga_logging_count = 0
        self.ioeventfds: list[IoEventFd] = []
        self.coalesced: list[AddrRange] = []
        self.flush_coalesced_mmio = False
        self.reentrancy_guard = True
        self.destructor: Callable[[], None] | None = None
        self.translate: Translate | None = None
        self._children: list[MemoryRegion] = []
        self._index: SpanIndex | None = None
        self._newest = 0
        self.enabled_children = 0

    def __repr__(self) -> str:
        return f"<MemoryRegion {self.name!r} {self.addr:#x}+{self.size:#x}>"

    # --- kinds (memory.md 1.2) ---

    @classmethod
    def io(
        cls,
        topology: Topology,
        name: str | None,
        size: int,
        ops: MemoryRegionOps | None = None,
        *,
        owner: object | None = None,
        parent: object | None = None,
    ) -> MemoryRegion:
        """Device registers; without *ops* a reservation, which occupies its place and rejects every access."""
        region = cls(topology, name, size, owner=owner, parent=parent)
        region.ops = UNASSIGNED_OPS if ops is None else ops
        region.terminates = True
        return region

    @classmethod
    def memory(
        cls,
        topology: Topology,
        name: str | None,
        size: int,
        block: RAMBlock | None = None,
        *,
        owner: object | None = None,
        parent: object | None = None,
        readonly: bool = False,
    ) -> MemoryRegion:
        """RAM (or ROM, with *readonly*) on a block that exists already, or on none; see `allocate` for new memory."""
        region = cls(topology, name, size, owner=owner, parent=parent)
        region.ram = region.terminates = True
        region.readonly = readonly
        region._take(block)
        return region

    @classmethod
    def ram_device_memory(
        cls,
        topology: Topology,
        name: str | None,
        size: int,
        block: RAMBlock | None = None,
        *,
        owner: object | None = None,
        parent: object | None = None,
    ) -> MemoryRegion:
        """Memory of a passed-through device: looks like RAM, but accesses go through ops of 1 to 8 bytes."""
        region = cls.memory(topology, name, size, block, owner=owner, parent=parent)
        region.ram_device = True
        region.ops = RAM_DEVICE_OPS
        return region

    @classmethod
    def rom_device_memory(
        cls,
        topology: Topology,
        name: str | None,
        size: int,
        ops: MemoryRegionOps | None = None,
        block: RAMBlock | None = None,
        *,
        owner: object | None = None,
        parent: object | None = None,
    ) -> MemoryRegion:
        """Memory that is read directly while `romd_mode` is on; writes, and then reads too, go to *ops* (flash)."""
        region = cls(topology, name, size, owner=owner, parent=parent)
        region.rom_device = region.terminates = True
        region.ops = UNASSIGNED_OPS if ops is None else ops
        region._take(block)
        return region

    @classmethod
    def alias_of(
        cls,
        topology: Topology,
        name: str | None,
        target: MemoryRegion,
        offset: int,
        size: int,
        *,
        owner: object | None = None,
        parent: object | None = None,
    ) -> MemoryRegion:
        """A window of *size* bytes on *target* from *offset* on; where *target* itself is mapped does not matter."""
        region = cls(topology, name, size, owner=owner, parent=parent)
        region.alias = target
        region.alias_offset = offset
        target.aliases.append(region)
        return region

    @classmethod
    def iommu(
        cls,
        topology: Topology,
        name: str | None,
        size: int,
        translate: Translate | None = None,
        *,
        owner: object | None = None,
        parent: object | None = None,
    ) -> MemoryRegion:
        """A translating region; without *translate* no access gets through."""
        region = cls(topology, name, size, owner=owner, parent=parent)
        region.is_iommu = region.terminates = True
        region.translate = translate
        return region

    def _take(self, block: RAMBlock | None) -> None:
        self.ram_block = block
        if block is not None:
            block.region = self

    # --- what others ask ---

    @property
    def reported_size(self) -> int:
        """The size as an unsigned 64-bit property: 2^64 reads as 2^64 - 1 (QOM property `size`)."""
        return min(self.size, U64_MAX)

    @property
    def subregions(self) -> tuple[MemoryRegion, ...]:
        """Children, highest priority first, among equals the newest first (memory.md 1.3)."""
        return tuple(self._children)

    @property
    def sole_enabled_child(self) -> MemoryRegion | None:
        """The one enabled child, or None when there are none or several."""
        if self.enabled_children != 1:
            return None
        return next(child for child in self._children if child.enabled)

    def children_meeting(self, low: int, high: int) -> list[MemoryRegion]:
        """Children with an address in [low, high) of this region, in list order."""
        if len(self._children) <= _INDEX_FROM:
            return [c for c in self._children if c.addr < high and c.addr + c.size > low]
        if self._index is None:
            self._index = SpanIndex()
            for child in self._children:
                self._index.add(child, child.addr, child.size)
        found = self._index.meeting(low, high)
        found.sort(key=_order)
        return found

    @property
    def effective_dirty_mask(self) -> int:
        """Clients that want to know of writes, global tracking and translated code included (memory.md 1.6)."""
        mask = self.dirty_log_mask
        block = self.ram_block
        if self.topology.dirty_tracking and (self.is_iommu or (block is not None and block.migratable)):
            mask |= DIRTY_MIGRATION
        if self.topology.tcg and block is not None:
            mask |= DIRTY_CODE
        return mask

    # --- mutators (memory.md 1.4); each marks what may look different now ---

    def add_subregion(self, child: MemoryRegion, addr: int, priority: int = 0) -> None:
        """Map *child* at *addr* (unsigned 64-bit) of this region; equal priorities: the newest wins.

        :raises MemoryModelError: *child* is mapped already, or would contain itself, or *addr* is out of range.
        """
        if child.container is not None:
            raise MemoryModelError(
                f"'{child.name}' cannot be added to '{self.name}': it is mapped in '{child.container.name}' already"
            )
        if not 0 <= addr <= U64_MAX:
            raise MemoryModelError(f"'{child.name}' cannot be mapped at {addr:#x} in '{self.name}': not 64-bit")
        ancestor: MemoryRegion | None = self
        while ancestor is not None:
            if ancestor is child:
                raise MemoryModelError(f"'{child.name}' cannot be added to '{self.name}', which it contains")
            ancestor = ancestor.container
        with self.topology.transaction():
            child.container = self
            child.addr = addr
            child.priority = priority
            self._newest += 1
            child.order = (-priority, -self._newest)
            self.topology.mark(child, 0, 0, pending=False, reshaped=True)
            insort(self._children, child, key=_order)
            if self._index is not None:
                self._index.add(child, addr, child.size)
            self._count(child, +1)

    def del_subregion(self, child: MemoryRegion) -> None:
        """Unmap *child*; it keeps its `addr`.

        :raises MemoryModelError: *child* is not mapped here.
        """
        if child.container is not self:
            where = "nowhere" if child.container is None else f"in '{child.container.name}'"
            raise MemoryModelError(f"'{child.name}' cannot be removed from '{self.name}': it is mapped {where}")
        with self.topology.transaction():
            del self._children[bisect_left(self._children, child.order, key=_order)]
            if self._index is not None:
                self._index.remove(child, child.addr, child.size)
            child.container = None
            self._count(child, -1)

    def _count(self, child: MemoryRegion, step: int) -> None:
        target = child.alias
        while target is not None:
            target.mapped_via_alias += step
            target = target.alias
        if child.enabled:
            self.enabled_children += step
        self.topology.mark(
            self, child.addr, child.addr + child.size, pending=self.enabled and child.enabled, reshaped=True
        )

    def set_enabled(self, enabled: bool) -> None:
        """Show or hide the region with everything below it."""
        if enabled == self.enabled:
            return
        with self.topology.transaction():
            self.enabled = enabled
            if self.container is not None:
                self.container.enabled_children += 1 if enabled else -1
            # marked as seen by the container: the region itself may be disabled now
            self._mark_from_outside(0, self.size)

    def set_address(self, addr: int) -> None:
        """Move the region inside its container, where it becomes the newest among equal priorities.

        Without a container only `addr` changes and nothing is published, until something else is.
        """
        if addr == self.addr:
            return
        if not 0 <= addr <= U64_MAX:
            raise MemoryModelError(f"'{self.name}' cannot be moved to {addr:#x}: not 64-bit")
        container = self.container
        if container is None:
            self.addr = addr
            self.topology.mark(self, 0, 0, pending=False, reshaped=True)
            return
        with self.topology.transaction():
            container.del_subregion(self)
            container.add_subregion(self, addr, self.priority)

    def set_size(self, size: int) -> None:
        """Change the size, 0 to 2^64 (2^64 - 1 means 2^64)."""
        if not 0 <= size <= SPACE:
            raise MemoryModelError(f"memory region '{self.name}' cannot have the size {size:#x}: it must be 0 to 2^64")
        size = SPACE if size == U64_MAX else size
        if size == self.size:
            return
        with self.topology.transaction():
            container = self.container
            if container is not None and container._index is not None:
                container._index.remove(self, self.addr, self.size)
                container._index.add(self, self.addr, size)
            larger = max(size, self.size)
            self.size = size
            self._mark_from_outside(0, larger)

    def set_alias_offset(self, offset: int) -> None:
        """Let an alias show its target from *offset* on."""
        if self.alias is None:
            raise MemoryModelError(f"'{self.name}' has no alias offset to set: it is not an alias")
        if offset == self.alias_offset:
            return
        with self.topology.transaction():
            self.alias_offset = offset
            self._mark_whole(reshaped=True)

    def set_readonly(self, readonly: bool) -> None:
        """Let everything seen through this region be read-only."""
        self._set("readonly", readonly)

    def set_nonvolatile(self, nonvolatile: bool) -> None:
        """Let everything seen through this region count as non-volatile."""
        self._set("nonvolatile", nonvolatile)

    def set_unmergeable(self, unmergeable: bool) -> None:
        """Keep ranges seen through this region apart even where they are contiguous (QEMU 8.2 and later)."""
        self._set("unmergeable", unmergeable)

    def set_romd_mode(self, romd_mode: bool) -> None:
        """ROM devices: read directly (on) or through ops (off)."""
        if not self.rom_device:
            raise MemoryModelError(f"'{self.name}' has no romd mode: it is not a ROM device")
        self._set("romd_mode", romd_mode)

    def _set(self, flag: str, value: bool) -> None:
        """Change a flag that every range seen through this region carries."""
        if getattr(self, flag) != value:
            with self.topology.transaction():
                setattr(self, flag, value)
                self._mark_whole()

    def set_vga_logging(self, on: bool) -> None:
        """Count one more (or one less) reader of the VGA dirty bitmap."""
        if not on and not self.vga_logging_count:
            raise MemoryModelError(f"'{self.name}' has no VGA dirty logging to stop")
        before = self.vga_logging_count
        self.vga_logging_count += 1 if on else -1
        if bool(before) != bool(self.vga_logging_count):
            with self.topology.transaction():
                self.dirty_log_mask ^= DIRTY_VGA
                self._mark_whole()

    def _mark_whole(self, *, reshaped: bool = False) -> None:
        self.topology.mark(self, 0, self.size, pending=self.enabled, reshaped=reshaped)

    def _mark_from_outside(self, low: int, high: int) -> None:
        """Mark a part although the region may be disabled: as a root, in its container, through its aliases."""
        topology = self.topology
        topology.mark(self, low, high, pending=True, reshaped=True, outside=True)
        if self.container is not None:
            topology.mark(self.container, 0, 0, pending=True, reshaped=True)

    # --- ioeventfds and coalesced MMIO (memory.md 1.6) ---

    def add_eventfd(
        self, addr: int, size: int, notifier: Notifier, *, match_data: bool = False, data: int = 0
    ) -> None:
        """Signal *notifier* instead of calling ops on a write at offset *addr*; size 0 matches every size."""
        event = IoEventFd.of(addr, size, match_data, data, notifier, swap=self.ops.swaps(self.topology.big_endian))
        with self.topology.transaction():
            insort(self.ioeventfds, event)
            self.topology.mark_ioeventfds(pending=self.enabled)

    def del_eventfd(
        self, addr: int, size: int, notifier: Notifier, *, match_data: bool = False, data: int = 0
    ) -> None:
        """Undo `add_eventfd` with the same arguments.

        :raises MemoryModelError: there is no such ioeventfd.
        """
        event = IoEventFd.of(addr, size, match_data, data, notifier, swap=self.ops.swaps(self.topology.big_endian))
        at = bisect_left(self.ioeventfds, event)
        if at == len(self.ioeventfds) or self.ioeventfds[at] != event:
            raise MemoryModelError(f"'{self.name}' has no ioeventfd of size {size} at {addr:#x} to delete")
        with self.topology.transaction():
            del self.ioeventfds[at]
            self.topology.mark_ioeventfds(pending=self.enabled)

    def add_coalescing(self, offset: int, size: int) -> None:
        """Let an accelerator collect writes to [offset, offset + size) instead of delivering each."""
        area = AddrRange(offset, size)
        self.coalesced.append(area)
        self.topology.coalescing_changed(self, area, added=True)
        self.flush_coalesced_mmio = True

    def set_coalescing(self) -> None:
        """Coalesce the whole region, and nothing else of it."""
        self.clear_coalescing()
        self.add_coalescing(0, self.size)

    def clear_coalescing(self) -> None:
        """End all coalescing of this region."""
        if not self.coalesced:
            return
        self.topology.flush_coalesced()
        self.flush_coalesced_mmio = False
        while self.coalesced:
            self.topology.coalescing_changed(self, self.coalesced.pop(0), added=False)

    def set_flush_coalesced(self) -> None:
        """Flush collected writes before every access to this region."""
        self.flush_coalesced_mmio = True

    def clear_flush_coalesced(self) -> None:
        """Undo `set_flush_coalesced`; while areas are coalesced the flushing stays."""
        self.topology.flush_coalesced()
        if not self.coalesced:
            self.flush_coalesced_mmio = False

    # --- the end ---

    def finalize(self) -> None:
        """Give up an unmapped region: its children are unmapped, its RAM block is freed.

        :raises MemoryModelError: the region is still mapped, or an alias still shows it.
        """
        if self.container is not None:
            raise MemoryModelError(f"'{self.name}' cannot go: it is still mapped in '{self.container.name}'")
        if self.aliases:
            raise MemoryModelError(f"'{self.name}' cannot go: alias '{self.aliases[0].name}' still shows it")
        # a dying container shows nothing, so that unmapping its children publishes nothing (memory.md 1.4)
        self.enabled = False
        with self.topology.transaction():
            for child in self.subregions:
                self.del_subregion(child)
        if self.alias is not None:
            self.alias.aliases.remove(self)
        self.clear_coalescing()
        if self.destructor is not None:
            destructor, self.destructor = self.destructor, None
            destructor()
        self.ram_block = None
