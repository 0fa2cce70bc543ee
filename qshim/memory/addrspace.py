"""AddressSpace: a root region as somebody sees it, and the calls to its listeners (spec/memory.md 3).

The calls of an update are made from the `Window`s in which the old and the new view differ. Ranges
outside them are equal by construction; they are walked only for listeners that override
`region_nop`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from operator import attrgetter
from typing import TYPE_CHECKING

from qshim.errors import MemoryModelError
from qshim.memory.flatview import FlatRange, FlatView, Window
from qshim.memory.ioevents import IoEventFd
from qshim.memory.listener import MemoryListener, MemorySection
from qshim.memory.region import MemoryRegion
from qshim.units import AddrRange

if TYPE_CHECKING:
    from qshim.memory.topology import Topology

__all__ = ["AddressSpace"]

_priority = attrgetter("priority")


class AddressSpace:
    """*root* under a name, registered with its topology at once; None names it `anonymous`."""

    def __init__(self, topology: Topology, root: MemoryRegion, name: str | None = None) -> None:
        self.topology = topology
        self.root = root
        self.name = "anonymous" if name is None else name
        self.listeners: list[MemoryListener] = []
        self.ioeventfds: list[tuple[IoEventFd, int]] = []
        """Known ioeventfds with their start in this space, in the order of spec/memory.md 1.6."""
        self.eventfd_listeners = 0
        self.index = 0
        """Place in the order of registration; set by the topology."""
        self.view: FlatView = topology.register(self)

    def __repr__(self) -> str:
        return f"<AddressSpace {self.name!r}, root {self.root.name!r}>"

    def destroy(self) -> None:
        """Take the address space away.

        :raises MemoryModelError: listeners are still registered.
        """
        if self.listeners:
            raise MemoryModelError(f"address space '{self.name}' cannot go: it has {len(self.listeners)} listeners")
        self.topology.unregister(self)

    # --- listeners coming and going (memory.md 3.4) ---

    def add_listener(self, listener: MemoryListener) -> None:
        """Register; only *listener* is called, as if everything in the current view were new.

        :raises MemoryModelError: *listener* is registered already.
        """
        if listener.space is not None:
            raise MemoryModelError(f"a listener of '{listener.space.name}' cannot listen to '{self.name}' as well")
        listener.space = self
        for known in (self.topology.listeners, self.listeners):
            known.insert(bisect_right(known, listener.priority, key=_priority), listener)
        rules = self.topology.rules
        listener.begin()
        if self.topology.dirty_tracking:
            listener.log_global_start()
        for r in self.view.ranges:
            section = MemorySection.of(r, self.view)
            listener.region_add(section)
            if rules.late_listener_gets_coalesced:
                for area in r.region.coalesced:
                    place = _in_range(r, area)
                    if place is None:
                        break  # QEMU ends the loop here although later areas may meet the range (memory.md 3.4)
                    listener.coalesced_io_add(section, *place)
            if r.dirty_log_mask:
                listener.log_start(section, 0, r.dirty_log_mask)
        if rules.late_listener_gets_coalesced:
            for event, start in self.ioeventfds:
                listener.eventfd_add(_event_section(self.view, event, start), event)
        listener.commit()
        if _wants_eventfds(listener):
            self.eventfd_listeners += 1

    def remove_listener(self, listener: MemoryListener) -> None:
        """Unregister; *listener* is told that everything went."""
        if listener.space is not self:
            raise MemoryModelError(f"the listener is not registered on '{self.name}'")
        rules = self.topology.rules
        listener.begin()
        for r in self.view.ranges:
            section = MemorySection.of(r, self.view)
            if r.dirty_log_mask:
                listener.log_stop(section, r.dirty_log_mask, 0)
            if rules.late_listener_gets_coalesced:
                for area in r.region.coalesced:
                    place = _in_range(r, area)
                    if place is None:
                        break
                    listener.coalesced_io_del(section, *place)
            listener.region_del(section)
        if rules.late_listener_gets_coalesced:
            for event, start in self.ioeventfds:
                listener.eventfd_del(_event_section(self.view, event, start), event)
        listener.commit()
        if _wants_eventfds(listener):
            self.eventfd_listeners -= 1
        self.listeners.remove(listener)
        self.topology.listeners.remove(listener)
        listener.space = None

    # --- one update (memory.md 3.2) ---

    def switch_to(self, view: FlatView, windows: list[Window] | None) -> None:
        """Deliver the difference between the current view and *view*, then make *view* current.

        *windows* None: the views have different roots, everything is compared.
        """
        old_view = self.view
        if self.listeners and not (view is old_view and view.root is None):
            self._deliver(old_view, view, windows)
        self.view = view

    def _deliver(self, old_view: FlatView, view: FlatView, windows: list[Window] | None) -> None:
        if windows is None or self._any_wants("region_nop"):
            windows = [Window(old_view.ranges, view.ranges)]
        for window in windows:
            for old, new in _paired(window):
                if new is None:
                    assert old is not None
                    section = MemorySection.of(old, old_view)
                    self._coalesced(old, section, added=False)
                    for listener in reversed(self.listeners):
                        listener.region_del(section)
        for window in windows:
            for old, new in _paired(window):
                if new is None:
                    continue
                section = MemorySection.of(new, old_view)
                if old is None:
                    for listener in self.listeners:
                        listener.region_add(section)
                    self._coalesced(new, section, added=True)
                else:
                    self._kept(old, new, section)

    def _kept(self, old: FlatRange, new: FlatRange, section: MemorySection) -> None:
        before, after = old.dirty_log_mask, new.dirty_log_mask
        for listener in self.listeners:
            listener.region_nop(section)
        if after & ~before:
            for listener in self.listeners:
                listener.log_start(section, before, after)
        if before & ~after:
            for listener in reversed(self.listeners):
                listener.log_stop(section, before, after)

    def _any_wants(self, callback: str) -> bool:
        return any(listener.wants(callback) for listener in self.listeners)

    def _coalesced(self, r: FlatRange, section: MemorySection, *, added: bool) -> None:
        for area in r.region.coalesced:
            self._coalesced_area(r, section, area, added=added)

    def _coalesced_area(self, r: FlatRange, section: MemorySection, area: AddrRange, *, added: bool) -> None:
        place = _in_range(r, area)
        if place is None:
            return
        if added:
            for listener in self.listeners:
                listener.coalesced_io_add(section, *place)
        else:
            for listener in reversed(self.listeners):
                listener.coalesced_io_del(section, *place)

    def coalescing_changed(self, region: MemoryRegion, area: AddrRange, *, added: bool) -> None:
        """Tell the listeners about one area wherever *region* is visible."""
        if not (self._any_wants("coalesced_io_add") or self._any_wants("coalesced_io_del")):
            return
        for r in self.view.ranges:
            if r.region is region:
                self._coalesced_area(r, MemorySection.of(r, self.view), area, added=added)

    # --- ioeventfds (memory.md 3.3) ---

    def update_ioeventfds(self) -> None:
        """Find the ioeventfds that are visible now and deliver what changed."""
        topology = self.topology
        if topology.rules.eventfd_diff_needs_listener and not self.eventfd_listeners:
            return
        if not self.ioeventfds and not topology.uses_ioeventfds:
            return
        current: list[tuple[IoEventFd, int]] = []
        for r in self.view.ranges:
            for event in r.region.ioeventfds:
                if AddrRange(event.start, event.size).overlaps(AddrRange(r.offset, r.size)) or (
                    not event.size and r.offset <= event.start < r.offset + r.size
                ):
                    current.append((event, event.start + r.start - r.offset))
        before, self.ioeventfds = self.ioeventfds, current
        self._diff_ioeventfds(before, current)

    def _diff_ioeventfds(self, before: list[tuple[IoEventFd, int]], after: list[tuple[IoEventFd, int]]) -> None:
        old_at = new_at = 0
        while old_at < len(before) or new_at < len(after):
            old = before[old_at] if old_at < len(before) else None
            new = after[new_at] if new_at < len(after) else None
            if old is not None and (new is None or _event_key(old) < _event_key(new)):
                section = _event_section(self.view, *old)
                for listener in self.listeners:
                    listener.eventfd_del(section, old[0])
                old_at += 1
            elif new is not None and (old is None or _event_key(new) < _event_key(old)):
                section = _event_section(self.view, *new)
                for listener in reversed(self.listeners):
                    listener.eventfd_add(section, new[0])
                new_at += 1
            else:
                old_at += 1
                new_at += 1


def _event_key(placed: tuple[IoEventFd, int]) -> tuple[int, int, bool, int, int]:
    event, start = placed
    return (start, event.size, event.match_data, event.data if event.match_data else 0, id(event.notifier))


def _event_section(view: FlatView, event: IoEventFd, start: int) -> MemorySection:
    return MemorySection(None, view, 0, start, event.size)


def _wants_eventfds(listener: MemoryListener) -> bool:
    return listener.wants("eventfd_add") or listener.wants("eventfd_del")


def _in_range(r: FlatRange, area: AddrRange) -> tuple[int, int] | None:
    """Where an area of a region lies in the address space as far as range *r* shows it: (addr, size)."""
    shown = AddrRange(area.start + r.start - r.offset, area.size).intersection(AddrRange(r.start, r.size))
    return None if shown is None else (shown.start, shown.size)


def _paired(window: Window) -> Iterator[tuple[FlatRange | None, FlatRange | None]]:
    """Ranges in the order of the passes: (old, None) went, (None, new) came, (old, new) stayed."""
    old, new = window
    old_at = new_at = 0
    while old_at < len(old) or new_at < len(new):
        o = old[old_at] if old_at < len(old) else None
        n = new[new_at] if new_at < len(new) else None
        if o is not None and (n is None or o.start < n.start or (o.start == n.start and not o.same_mapping(n))):
            yield o, None
            old_at += 1
        elif o is not None and n is not None and o.start == n.start:
            yield o, n
            old_at += 1
            new_at += 1
        else:
            yield None, n
            new_at += 1
