"""Topology: all memory of one machine, its transactions, and the step from a changed tree to new views.

QEMU draws every view anew at each outermost commit. Here a commit costs what changed (DESIGN.md
decision 1). Each mutator names a region and a stretch of it. At the end of the transaction the
stretches climb through containers and aliases to the roots that are on display, each clipped on
its way as rendering would clip it; those places alone are drawn again.

Which root an address space shows depends on a handful of regions near its own root (`resolve`).
They are remembered, so that only address spaces whose own regions changed shape are resolved again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING

from qshim.errors import MemoryModelError
from qshim.memory.flatview import FlatView, Window
from qshim.memory.ramblock import RAMList
from qshim.memory.render import render, rerender, resolve

if TYPE_CHECKING:
    from collections.abc import Callable

    from qshim.memory.access import InvalidAccess
    from qshim.memory.addrspace import AddressSpace
    from qshim.memory.listener import MemoryListener
    from qshim.memory.region import MemoryRegion
    from qshim.units import AddrRange

__all__ = ["Rules", "Topology"]

_registered = attrgetter("index")


@dataclass(frozen=True, slots=True)
class Rules:
    """Behaviour that changed between QEMU releases; the defaults are those of 10.0 and later."""

    late_listener_gets_coalesced: bool = True
    """Late listeners are told of coalesced areas and ioeventfds (memory.md 3.4)."""
    eventfd_diff_needs_listener: bool = True
    """ioeventfds are compared only while some listener of the space wants them (memory.md 3.3)."""
    debug_write_reaches_rom: bool = True
    """Accesses with attrs.debug write ROM and ROM devices directly (memory.md 7.1)."""


class Topology:
    """The memory of one machine: regions, address spaces, RAM blocks, listeners.

    :param page_bits: the target's page size as a power of two, 8 to 16 (memory.md 4.1).
    :param host_page: page size of the host in bytes; block lengths are rounded up to it.
    :param big_endian: byte order of the target.
    :param tcg: translated code is tracked in a dirty bitmap, as with the TCG accelerator.
    """

    def __init__(
        self,
        *,
        page_bits: int = 12,
        host_page: int = 4096,
        big_endian: bool = False,
        tcg: bool = True,
        rules: Rules | None = None,
    ) -> None:
        if not 8 <= page_bits <= 16:
            raise MemoryModelError(f"a target page of 2^{page_bits} bytes is not supported: 2^8 to 2^16 are")
        self.page_bits = page_bits
        self.host_page = host_page
        self.big_endian = big_endian
        self.tcg = tcg
        self.rules = Rules() if rules is None else rules
        self.ram = RAMList(page_bits, host_page)
        self.spaces: list[AddressSpace] = []
        self.listeners: list[MemoryListener] = []
        self.lookups = 0
        """Counts translations: each may move the MRU mark that dispatch texts show."""
        self.dirty_tracking = False
        self.uses_ioeventfds = False
        """Some region had an ioeventfd once; until then no update looks for them."""
        self.on_invalid_access: Callable[[InvalidAccess], None] | None = None
        self.on_flush_coalesced: Callable[[], None] | None = None
        self.engaged: set[int] = set()
        """Identities of the owners whose registers are being accessed (memory.md 7.2, step 6)."""
        self._changes = 0
        self._depth = 0
        self._update_pending = self._ioeventfds_pending = False
        self._stretches: list[tuple[MemoryRegion, int, int, bool]] = []
        self._reshaped: set[MemoryRegion] = set()
        self._views: dict[MemoryRegion, FlatView] = {}
        self._empty = FlatView(None, (), page_bits)
        self._shows: dict[AddressSpace, MemoryRegion | None] = {}
        self._showing: dict[MemoryRegion, dict[AddressSpace, None]] = {}
        self._asked: dict[AddressSpace, list[MemoryRegion]] = {}
        self._watchers: dict[MemoryRegion, dict[AddressSpace, None]] = {}

    @property
    def generation(self) -> int:
        """Counts changes of any kind; what is derived from the memory can be kept until it changes."""
        return self._changes + self.ram.version

    # --- transactions (memory.md 1.5) ---

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Changes inside are published together when the outermost transaction ends."""
        self.begin()
        try:
            yield
        finally:
            self.commit()

    def begin(self) -> None:
        """Open a transaction; they nest."""
        self._depth += 1

    def commit(self) -> None:
        """Close the innermost transaction; the outermost publishes.

        :raises MemoryModelError: no transaction is open.
        """
        if not self._depth:
            raise MemoryModelError("there is no open transaction to commit: commit was called without begin")
        self._depth -= 1
        if self._depth:
            return
        if self._update_pending:
            self._publish()
        elif self._ioeventfds_pending:
            self._ioeventfds_pending = False
            for space in self.spaces:
                space.update_ioeventfds()

    def mark(
        self,
        region: MemoryRegion,
        low: int,
        high: int,
        *,
        pending: bool,
        reshaped: bool = False,
        outside: bool = False,
    ) -> None:
        """Note that [low, high) of *region* may look different.

        :param pending: this alone is reason enough for an update (memory.md 1.4).
        :param reshaped: which root somebody shows may depend on it.
        :param outside: it may be seen from outside although the region is disabled now.
        """
        self._changes += 1
        if low < high:
            self._stretches.append((region, low, high, outside))
        if reshaped:
            self._reshaped.add(region)
        if pending:
            self._update_pending = True

    def mark_ioeventfds(self, *, pending: bool) -> None:
        """Note that ioeventfds of some region came or went."""
        self.uses_ioeventfds = True
        if pending:
            self._ioeventfds_pending = True

    def flush_coalesced(self) -> None:
        """Have the accelerator deliver the writes that it collected."""
        if self.on_flush_coalesced is not None:
            self.on_flush_coalesced()

    def coalescing_changed(self, region: MemoryRegion, area: AddrRange, *, added: bool) -> None:
        """Tell the listeners of every address space."""
        for space in self.spaces:
            space.coalescing_changed(region, area, added=added)

    # --- dirty tracking (memory.md 1.4, 1.6) ---

    def set_dirty_tracking(self, on: bool) -> None:
        """Track writes to all migratable memory, as migration and dirty-rate measurement do."""
        if on == self.dirty_tracking:
            return
        self.dirty_tracking = on
        if on:
            for listener in self.listeners:
                listener.log_global_start()
        with self.transaction():
            for root in self._views:
                self.mark(root, 0, root.size, pending=True)
            self._update_pending = True
        if not on:
            for listener in reversed(self.listeners):
                listener.log_global_stop()

    # --- address spaces ---

    def register(self, space: AddressSpace) -> FlatView:
        """Add *space* at the end of the list and give it its view; no listener is called (memory.md 2.4)."""
        space.index = self.spaces[-1].index + 1 if self.spaces else 0
        self.spaces.append(space)
        self._resolve(space)
        self._changes += 1
        return self._view_of(space)

    def unregister(self, space: AddressSpace) -> None:
        """Remove *space*; its view goes with the last one that shows it."""
        self.spaces.remove(space)
        self._forget(space)
        self._changes += 1

    def views(self) -> list[tuple[FlatView, list[AddressSpace]]]:
        """Each view with the address spaces that show it, by registration order of the first."""
        groups: dict[int, tuple[FlatView, list[AddressSpace]]] = {}
        for space in self.spaces:
            groups.setdefault(id(space.view), (space.view, []))[1].append(space)
        return list(groups.values())

    def _view_of(self, space: AddressSpace) -> FlatView:
        root = self._shows[space]
        if root is None:
            return self._empty
        view = self._views.get(root)
        if view is None:
            view = self._views[root] = render(root, self.page_bits)
        return view

    def _resolve(self, space: AddressSpace) -> None:
        root, asked = resolve(space.root)
        self._shows[space] = root
        if root is not None:
            self._showing.setdefault(root, {})[space] = None
        self._asked[space] = asked
        for region in asked:
            self._watchers.setdefault(region, {})[space] = None

    def _forget(self, space: AddressSpace) -> None:
        for region in self._asked.pop(space):
            watchers = self._watchers.get(region)
            if watchers is not None:
                watchers.pop(space, None)
                if not watchers:
                    del self._watchers[region]
        root = self._shows.pop(space)
        if root is not None:
            del self._showing[root][space]
            if not self._showing[root]:
                del self._showing[root]
                # a view that nobody shows is dropped at the end of the update: somebody else may take it up
                if not self._depth and not self._update_pending:
                    self._views.pop(root, None)

    # --- publishing (memory.md 2.4, 3.1) ---

    def _publish(self) -> None:
        reshaped, self._reshaped = self._reshaped, set()
        stretches, self._stretches = self._stretches, []
        moved = self._resolve_again(reshaped)
        windows = self._redraw(stretches, reshaped)
        self._update_pending = self._ioeventfds_pending = False
        self._changes += 1
        for listener in self.listeners:
            listener.begin()
        for space in self._concerned(moved, windows):
            root = self._shows[space]
            space.switch_to(self._view_of(space), None if space in moved else windows.get(root, []))
            space.update_ioeventfds()
        for listener in self.listeners:
            listener.commit()

    def _concerned(
        self, moved: set[AddressSpace], windows: dict[MemoryRegion | None, list[Window]]
    ) -> list[AddressSpace]:
        """Address spaces that have something to deliver, in registration order."""
        if self.uses_ioeventfds:
            return self.spaces
        concerned = set(moved)
        for root in windows:
            if root is not None:
                concerned.update(self._showing.get(root, {}))
        concerned.update(
            listener.space for listener in self.listeners if listener.space and listener.wants("region_nop")
        )
        return sorted(concerned, key=_registered)

    def _resolve_again(self, reshaped: set[MemoryRegion]) -> set[AddressSpace]:
        """Resolve the roots that may be others now; the address spaces whose root did change."""
        affected: dict[AddressSpace, None] = {}
        for region in reshaped:
            affected.update(self._watchers.get(region, {}))
        moved = set()
        for space in affected:
            before = self._shows[space]
            self._forget(space)
            self._resolve(space)
            if self._shows[space] is not before:
                moved.add(space)
        return moved

    def _redraw(
        self, stretches: list[tuple[MemoryRegion, int, int, bool]], reshaped: set[MemoryRegion]
    ) -> dict[MemoryRegion | None, list[Window]]:
        """Bring the views up to date; for each that changed where it did."""
        for root in [root for root in self._views if root not in self._showing]:
            del self._views[root]
        windows: dict[MemoryRegion | None, list[Window]] = {}
        stale: dict[MemoryRegion, list[tuple[int, int]]] = {}
        for root, low, high in self._climb(stretches):
            stale.setdefault(root, []).append((low, high))
        for root in reshaped:
            view = self._views.get(root)
            if view is not None and view.origin != root.addr:
                fresh = render(root, self.page_bits)
                self._views[root] = fresh
                windows[root] = [Window(view.ranges, fresh.ranges)]
                stale.pop(root, None)
        for root, places in stale.items():
            fresh, differences = rerender(self._views[root], places)
            if differences:
                self._views[root] = fresh
                windows[root] = differences
        return windows

    def _climb(
        self, stretches: list[tuple[MemoryRegion, int, int, bool]]
    ) -> Iterator[tuple[MemoryRegion, int, int]]:
        """Follow each stretch up to the roots on display: (root, low, high) in the view's addresses."""
        stack = stretches
        seen: set[tuple[MemoryRegion, int, int, bool]] = set()
        while stack:
            stretch = stack.pop()
            region, low, high, outside = stretch
            if low >= high or stretch in seen:
                continue
            seen.add(stretch)
            if region in self._views:
                yield region, region.addr + low, region.addr + high
            if not region.enabled and not outside:
                continue
            for alias in region.aliases:
                offset = alias.alias_offset
                stack.append((alias, max(low - offset, 0), min(high - offset, alias.size), False))
            container = region.container
            if container is not None:
                stack.append((container, low + region.addr, min(high + region.addr, container.size), False))
