"""Listeners: order of the calls, and that they add up to the current view (spec/memory.md 3)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qshim.errors import MemoryModelError
from qshim.memory import AddressSpace, MemoryListener, MemoryRegion, MemorySection, Rules, Topology
from qshim.memory.ioevents import IoEventFd
from qshim.memory.ramblock import RAMBlock
from qshim.units import SPACE
from tests.memory.worlds import World, change, worlds

Call = tuple[Any, ...]


class Mirror(MemoryListener):
    """Rebuilds the view from nothing but add and del."""

    def __init__(self) -> None:
        self.sections: dict[int, MemorySection] = {}

    def region_add(self, section: MemorySection) -> None:
        assert not any(
            s.start < section.start + section.size and section.start < s.start + s.size for s in self.sections.values()
        ), "an added section overlaps one that is still there"
        self.sections[section.start] = section._replace(view=None)

    def region_del(self, section: MemorySection) -> None:
        assert self.sections.pop(section.start) == section._replace(view=None)


class Recorder(MemoryListener):
    """Writes down every call."""

    def __init__(self, log: list[Call], name: str = "", priority: int = 0) -> None:
        self.log = log
        self.name = name
        self.priority = priority

    def _note(self, what: str, *more: object) -> None:
        self.log.append((self.name + what, *more))

    def begin(self) -> None:
        self._note("begin")

    def commit(self) -> None:
        self._note("commit")

    def region_add(self, section: MemorySection) -> None:
        self._note("add", section.start, section.size)

    def region_del(self, section: MemorySection) -> None:
        self._note("del", section.start, section.size)

    def log_start(self, section: MemorySection, old: int, new: int) -> None:
        self._note("log_start", section.start, old, new)

    def log_stop(self, section: MemorySection, old: int, new: int) -> None:
        self._note("log_stop", section.start, old, new)

    def coalesced_io_add(self, section: MemorySection, addr: int, size: int) -> None:
        self._note("coalesced_add", addr, size)

    def coalesced_io_del(self, section: MemorySection, addr: int, size: int) -> None:
        self._note("coalesced_del", addr, size)

    def eventfd_add(self, section: MemorySection, event: IoEventFd) -> None:
        self._note("eventfd_add", section.start, section.size)

    def eventfd_del(self, section: MemorySection, event: IoEventFd) -> None:
        self._note("eventfd_del", section.start, section.size)


class WithNops(Recorder):
    """Also wants to hear of what stayed."""

    def region_nop(self, section: MemorySection) -> None:
        self._note("nop", section.start)


class Bell:
    """A notifier."""

    rung = 0

    def set(self) -> None:
        self.rung += 1


@given(worlds(), st.data())
@settings(max_examples=200)
def test_calls_replayed_from_nothing_give_the_current_view(world: World, data: st.DataObject) -> None:
    mirrors = [(space, Mirror()) for space in world.spaces]
    late: list[tuple[AddressSpace, Mirror]] = []
    for space, mirror in mirrors:
        space.add_listener(mirror)
    for _ in range(data.draw(st.integers(1, 5))):
        with world.topology.transaction():
            for _ in range(data.draw(st.integers(1, 3))):
                change(world, data.draw)
        for space in world.spaces:
            newcomer = Mirror()
            space.add_listener(newcomer)
            late.append((space, newcomer))
        for space, mirror in mirrors + late:
            expected = {r.start: MemorySection.of(r, None) for r in space.view.ranges}
            assert mirror.sections == expected
    for space, mirror in mirrors + late:
        space.remove_listener(mirror)
        assert not mirror.sections


def machine(rules: Rules | None = None) -> tuple[Topology, MemoryRegion, AddressSpace]:
    topology = Topology(rules=rules)
    root = MemoryRegion(topology, "system", SPACE)
    return topology, root, AddressSpace(topology, root, "memory")


def test_removals_come_first_then_additions_each_ascending() -> None:
    """memory.md 3.2: the KVM trace of a PAM write."""
    topology, root, space = machine()
    ram = MemoryRegion.memory(topology, "pc.ram", 0x200000)
    root.add_subregion(ram, 0)
    pam = MemoryRegion.io(topology, "pam-pci", 0x10000)
    root.add_subregion(pam, 0xF0000, 1)
    log: list[Call] = []
    space.add_listener(Recorder(log))
    log.clear()
    pam.set_enabled(False)
    assert log == [
        ("begin",),
        ("del", 0, 0xF0000),
        ("del", 0xF0000, 0x10000),
        ("del", 0x100000, 0x100000),
        ("add", 0, 0x200000),
        ("commit",),
    ]


def test_listeners_run_by_priority_and_removals_backwards() -> None:
    topology, root, space = machine()
    log: list[Call] = []
    for name, priority in (("b", 10), ("a", 0), ("c", 10)):
        space.add_listener(Recorder(log, name, priority))
    log.clear()
    io = MemoryRegion.io(topology, "io", 4)
    root.add_subregion(io, 0)
    io.set_enabled(False)
    words = [call[0] for call in log]
    assert words == [
        *("abegin", "bbegin", "cbegin", "aadd", "badd", "cadd", "acommit", "bcommit", "ccommit"),
        *("abegin", "bbegin", "cbegin", "cdel", "bdel", "adel", "acommit", "bcommit", "ccommit"),
    ]


def test_sections_carry_the_old_view_during_both_passes() -> None:
    topology, root, space = machine()
    seen = []

    class Views(MemoryListener):
        def region_add(self, section: MemorySection) -> None:
            seen.append(section.view)

    space.add_listener(Views())
    before = space.view
    root.add_subregion(MemoryRegion.io(topology, "io", 4), 0)
    assert seen == [before]
    assert space.view is not before


def test_nops_only_for_those_who_want_them_and_masks_start_and_stop_logging() -> None:
    topology, root, space = machine()
    vram = MemoryRegion.memory(topology, "vram", 0x1000)
    root.add_subregion(vram, 0)
    root.add_subregion(MemoryRegion.io(topology, "io", 4), 0x2000)
    log: list[Call] = []
    space.add_listener(WithNops(log))
    log.clear()
    vram.set_vga_logging(True)
    vram.set_vga_logging(True)
    assert log == [("begin",), ("nop", 0), ("log_start", 0, 0, 1), ("nop", 0x2000), ("commit",)]
    log.clear()
    vram.set_vga_logging(False)
    vram.set_vga_logging(False)
    assert log == [("begin",), ("nop", 0), ("log_stop", 0, 1, 0), ("nop", 0x2000), ("commit",)]


def test_global_tracking_logs_migratable_memory_only() -> None:
    topology, root, space = machine()
    named = topology.ram.adopt(RAMBlock(0, 0x1000, 0x1000, idstr="pc.ram"))
    unnamed = topology.ram.adopt(RAMBlock(0x40000, 0x1000, 0x1000))
    root.add_subregion(MemoryRegion.memory(topology, "pc.ram", 0x1000, named), 0)
    root.add_subregion(MemoryRegion.memory(topology, "scratch", 0x1000, unnamed), 0x1000)
    log: list[Call] = []
    space.add_listener(Recorder(log))
    log.clear()
    topology.set_dirty_tracking(True)
    assert ("log_start", 0, 0b010, 0b110) in log
    assert len([call for call in log if call[0] == "log_start"]) == 1
    log.clear()
    topology.set_dirty_tracking(False)
    assert ("log_stop", 0, 0b110, 0b010) in log


@pytest.mark.parametrize("modern", [True, False])
def test_what_a_late_listener_gets(modern: bool) -> None:
    """memory.md 3.4."""
    rules = Rules(late_listener_gets_coalesced=modern, eventfd_diff_needs_listener=modern)
    topology, root, space = machine(rules)
    io = MemoryRegion.io(topology, "io", 0x100)
    io.add_coalescing(0x10, 8)
    root.add_subregion(io, 0x1000)
    first: list[Call] = []
    space.add_listener(Recorder(first))
    io.add_eventfd(4, 2, Bell())
    assert first[-1] == ("eventfd_add", 0x1004, 2)
    late: list[Call] = []
    space.add_listener(Recorder(late))
    expected: list[Call] = [("begin",), ("add", 0x1000, 0x100)]
    if modern:
        expected += [("coalesced_add", 0x1010, 8), ("eventfd_add", 0x1004, 2)]
    assert late == [*expected, ("commit",)]


def test_eventfds_alone_bring_no_begin_and_no_commit() -> None:
    topology, root, space = machine()
    io = MemoryRegion.io(topology, "io", 0x100)
    root.add_subregion(io, 0x1000)
    log: list[Call] = []
    space.add_listener(Recorder(log))
    log.clear()
    bell = Bell()
    with topology.transaction():
        io.add_eventfd(8, 4, bell)
        io.add_eventfd(0, 0, bell)
    io.del_eventfd(8, 4, bell)
    assert log == [("eventfd_add", 0x1000, 0), ("eventfd_add", 0x1008, 4), ("eventfd_del", 0x1008, 4)]
    with pytest.raises(MemoryModelError, match="'io' has no ioeventfd of size 4 at 0x8"):
        io.del_eventfd(8, 4, bell)


def test_a_moved_device_takes_its_eventfds_along() -> None:
    topology, root, space = machine()
    io = MemoryRegion.io(topology, "io", 0x100)
    root.add_subregion(io, 0x1000)
    log: list[Call] = []
    space.add_listener(Recorder(log))
    io.add_eventfd(8, 4, Bell())
    log.clear()
    io.set_address(0x3000)
    assert log == [
        ("begin",),
        ("del", 0x1000, 0x100),
        ("add", 0x3000, 0x100),
        ("eventfd_del", 0x1008, 4),
        ("eventfd_add", 0x3008, 4),
        ("commit",),
    ]


def test_coalescing_is_told_where_the_region_is_visible() -> None:
    topology, root, space = machine()
    io = MemoryRegion.io(topology, "io", 0x100)
    root.add_subregion(io, 0x1000)
    log: list[Call] = []
    space.add_listener(Recorder(log))
    log.clear()
    io.set_coalescing()
    io.clear_coalescing()
    assert log == [("coalesced_add", 0x1000, 0x100), ("coalesced_del", 0x1000, 0x100)]
    assert not io.flush_coalesced_mmio


def test_one_transaction_is_one_update_even_when_nothing_changed_in_the_end() -> None:
    topology, root, space = machine()
    io = MemoryRegion.io(topology, "io", 4)
    root.add_subregion(io, 0)
    log: list[Call] = []
    space.add_listener(Recorder(log))
    log.clear()
    with topology.transaction():
        io.set_enabled(False)
        io.set_enabled(True)
    assert log == [("begin",), ("commit",)]


def test_a_space_with_listeners_does_not_go_and_commit_needs_begin() -> None:
    topology, _, space = machine()
    listener = Mirror()
    space.add_listener(listener)
    with pytest.raises(MemoryModelError, match="address space 'memory' cannot go: it has 1 listeners"):
        space.destroy()
    space.remove_listener(listener)
    space.destroy()
    assert not topology.spaces
    with pytest.raises(MemoryModelError, match="no open transaction"):
        topology.commit()
