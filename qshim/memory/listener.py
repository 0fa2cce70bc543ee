"""MemoryListener: who is told what changed in an address space (spec/memory.md 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from qshim.memory.addrspace import AddressSpace
    from qshim.memory.flatview import FlatRange, FlatView
    from qshim.memory.ioevents import IoEventFd
    from qshim.memory.region import MemoryRegion

__all__ = ["MemoryListener", "MemorySection"]


class MemorySection(NamedTuple):
    """A stretch of an address space as listeners see it."""

    region: MemoryRegion | None
    """None for ioeventfds."""
    view: FlatView | None
    """The view that is current while the callback runs: during an update still the old one (memory.md 3.1)."""
    offset: int
    """Offset in *region*."""
    start: int
    """Offset in the address space."""
    size: int
    readonly: bool = False
    nonvolatile: bool = False
    unmergeable: bool = False

    @classmethod
    def of(cls, r: FlatRange, view: FlatView | None) -> MemorySection:
        """The section of a flat range."""
        return cls(r.region, view, r.offset, r.start, r.size, r.readonly, r.nonvolatile, r.unmergeable)


class MemoryListener:
    """Override what you want to know; what is not overridden costs nothing.

    Listeners are called in ascending *priority*, those of equal priority in the order in which they
    registered; removals are delivered in the reverse of that.
    """

    priority = 0
    space: AddressSpace | None = None
    """The address space this listener is registered on."""

    def begin(self) -> None:
        """An update starts; called once whatever the number of address spaces."""

    def commit(self) -> None:
        """The update is complete."""

    def region_add(self, section: MemorySection) -> None:
        """*section* appeared."""

    def region_del(self, section: MemorySection) -> None:
        """*section* went."""

    def region_nop(self, section: MemorySection) -> None:
        """*section* stayed as it was. Who overrides this pays for every range at every update."""

    def log_start(self, section: MemorySection, old: int, new: int) -> None:
        """Dirty logging of *section* gained clients: masks before and after."""

    def log_stop(self, section: MemorySection, old: int, new: int) -> None:
        """Dirty logging of *section* lost clients: masks before and after."""

    def log_global_start(self) -> None:
        """Dirty tracking of all memory began."""

    def log_global_stop(self) -> None:
        """Dirty tracking of all memory ended."""

    def coalesced_io_add(self, section: MemorySection, addr: int, size: int) -> None:
        """Writes to *size* bytes at address *addr* may be collected."""

    def coalesced_io_del(self, section: MemorySection, addr: int, size: int) -> None:
        """Writes to *size* bytes at address *addr* must be delivered again."""

    def eventfd_add(self, section: MemorySection, event: IoEventFd) -> None:
        """Writes to *section* signal *event*."""

    def eventfd_del(self, section: MemorySection, event: IoEventFd) -> None:
        """Writes to *section* no longer signal *event*."""

    @classmethod
    def wants(cls, callback: str) -> bool:
        """Whether this class does anything in *callback*."""
        return getattr(cls, callback) is not getattr(MemoryListener, callback)
