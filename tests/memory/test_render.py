"""Laws of rendering: against a byte-wise oracle, and a partial redraw against a full one."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qshim.memory import AddressSpace, FlatRange, FlatView, MemoryRegion, Topology, region
from qshim.memory.render import draw, merge, render, resolve
from qshim.units import SPACE
from tests.memory.worlds import World, afresh, at, change, points, worlds


@pytest.fixture(params=[0, 32], ids=["indexed", "scanned"], autouse=True)
def children_lookup(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every law holds with the index of children and without it."""
    monkeypatch.setattr(region, "_INDEX_FROM", request.param)


def fresh(root: MemoryRegion) -> tuple[FlatRange, ...]:
    """The ranges of a root drawn as a whole."""
    shown, _ = resolve(root)
    return () if shown is None else render(shown, 8).ranges


def check_view(view: FlatView) -> None:
    """A view is what the oracle says, ascending, disjoint and fully merged."""
    assert all(a.end <= b.start for a, b in zip(view.ranges, view.ranges[1:], strict=False))
    assert not any(a.absorbs(b) for a, b in zip(view.ranges, view.ranges[1:], strict=False))
    if view.root is None:
        assert view.is_empty
        return
    for addr in points(view.ranges):
        found, expected = view.find(addr), at(view.root, addr)
        if expected is None:
            assert found is None
        else:
            assert found is not None
            assert (found.region, found.offset + addr - found.start) == expected[:2]
            assert (found.readonly, found.nonvolatile) == expected[2:]


@given(worlds())
def test_view_equals_bytewise_oracle(world: World) -> None:
    for space in world.spaces:
        check_view(space.view)


@given(worlds(), st.data())
@settings(max_examples=300)
def test_partial_redraw_equals_full_redraw(world: World, data: st.DataObject) -> None:
    for _ in range(data.draw(st.integers(1, 6))):
        with world.topology.transaction():
            for _ in range(data.draw(st.integers(1, 4))):
                change(world, data.draw)
        for space in world.spaces:
            assert_stays_as_qemu_would(world, space)


def assert_stays_as_qemu_would(world: World, space: AddressSpace) -> None:
    """Changes that are no reason for an update are taken up with the next one that is (memory.md 1.4)."""
    with world.topology.transaction():
        dummy = MemoryRegion(world.topology, "dummy", 1)
        holder = MemoryRegion(world.topology, "holder", 1)
        holder.add_subregion(dummy, 0)
    assert space.view.ranges == fresh(space.root)
    if space.view.ranges:
        assert space.view.root is resolve(space.root)[0]


@given(worlds(), st.data())
def test_sharing_follows_the_resolved_root(world: World, data: st.DataObject) -> None:
    change(world, data.draw)
    assert_stays_as_qemu_would(world, world.spaces[0])
    by_root: dict[MemoryRegion | None, FlatView] = {}
    for space in world.spaces:
        root = resolve(space.root)[0]
        assert by_root.setdefault(root, space.view) is space.view


def system() -> tuple[Topology, MemoryRegion, AddressSpace]:
    topology = Topology()
    root = MemoryRegion(topology, "system", SPACE)
    return topology, root, AddressSpace(topology, root, "memory")


def lines(space: AddressSpace) -> list[tuple[int, int, str | None, int]]:
    return [(r.start, r.last, r.region.name, r.offset) for r in space.view.ranges]


def test_equal_priority_newest_wins_and_a_moved_region_is_newest() -> None:
    """memory.md E4."""
    topology, root, space = system()
    a, b, c = (MemoryRegion.memory(topology, n, s) for n, s in (("A", 1 << 20), ("B", 1 << 20), ("C", 4 << 20)))
    root.add_subregion(a, 0xE0000000, 1)
    root.add_subregion(b, 0xE0000000, 1)
    assert lines(space) == [(0xE0000000, 0xE00FFFFF, "B", 0)]
    a.set_address(0xD0000000)
    a.set_address(0xE0000000)
    assert lines(space) == [(0xE0000000, 0xE00FFFFF, "A", 0)]
    root.add_subregion(c, 0xE0000000, 1)
    a.set_address(0xE0200000)
    assert lines(space) == [
        (0xE0000000, 0xE01FFFFF, "C", 0),
        (0xE0200000, 0xE02FFFFF, "A", 0),
        (0xE0300000, 0xE03FFFFF, "C", 0x300000),
    ]


def test_pam_pieces_merge_only_while_writable() -> None:
    """memory.md E2."""
    topology, root, space = system()
    ram = MemoryRegion.memory(topology, "pc.ram", 32 << 20)
    root.add_subregion(MemoryRegion.alias_of(topology, "ram-below-4g", ram, 0, 0xF0000), 0)
    root.add_subregion(MemoryRegion.alias_of(topology, "rest", ram, 0x100000, 0x100000), 0x100000)
    pam = MemoryRegion.alias_of(topology, "pam-rom", ram, 0xF0000, 0x10000)
    pam.set_readonly(True)
    root.add_subregion(pam, 0xF0000, 1)
    assert [(r.start, r.readonly) for r in space.view.ranges] == [(0, False), (0xF0000, True), (0x100000, False)]
    pam.set_readonly(False)
    assert lines(space) == [(0, 0x1FFFFF, "pc.ram", 0)]


def test_unmergeable_pieces_stay_apart() -> None:
    topology, root, space = system()
    ram = MemoryRegion.memory(topology, "ram", 0x3000)
    ram.set_unmergeable(True)
    for number in range(3):
        window = MemoryRegion.alias_of(topology, f"slot{number}", ram, number * 0x1000, 0x1000)
        root.add_subregion(window, number * 0x1000)
    assert [r.start for r in space.view.ranges] == [0, 0x1000, 0x2000]


def test_root_shortcut_ignores_the_address_of_what_it_skips() -> None:
    """memory.md E13: one DIMM is drawn at 0, two at their place."""
    topology = Topology()
    holder = MemoryRegion(topology, "device-memory", 1 << 30)
    holder.set_address(0x100000000)
    space = AddressSpace(topology, holder, "device-memory")
    assert space.view.root is None
    first, second = (MemoryRegion.memory(topology, f"dd{n}", 0x8000000) for n in (0, 1))
    holder.add_subregion(first, 0)
    assert lines(space) == [(0, 0x7FFFFFF, "dd0", 0)]
    holder.add_subregion(second, 0x8000000)
    assert [r[0] for r in lines(space)] == [0x100000000, 0x108000000]


def test_space_root_with_an_address_is_redrawn_when_it_moves() -> None:
    """memory.md E12: a BAR that is the root of an address space and lies in another one, too."""
    topology, root, _ = system()
    bar = MemoryRegion.io(topology, "virtio-pci", 0x4000)
    space = AddressSpace(topology, bar, "virtio-pci-cfg-mem-as")
    root.add_subregion(bar, 0xE8000000)
    assert lines(space) == [(0xE8000000, 0xE8003FFF, "virtio-pci", 0)]
    bar.set_address(0xE9000000)
    assert lines(space) == [(0xE9000000, 0xE9003FFF, "virtio-pci", 0)]


def test_whole_space_is_one_range() -> None:
    topology = Topology()
    space = AddressSpace(topology, MemoryRegion.iommu(topology, "iommu-sun4m", (1 << 64) - 1), "iommu")
    assert [(r.start, r.size) for r in space.view.ranges] == [(0, 1 << 64)]


def test_deep_nesting_needs_no_recursion() -> None:
    topology, root, space = system()
    inner: MemoryRegion | None = None
    for depth in range(3000):
        window = MemoryRegion(topology, f"bridge{depth}", SPACE)
        window.add_subregion(MemoryRegion.io(topology, f"io{depth}", 1), depth)
        if inner is not None:
            window.add_subregion(inner, 0)
        inner = window
    assert inner is not None
    root.add_subregion(inner, 0)
    assert len(space.view.ranges) == 3000
    assert merge(draw(space.root)) == list(space.view.ranges)


@given(worlds(), st.data())
def test_one_transaction_equals_its_end_state_built_afresh(world: World, data: st.DataObject) -> None:
    with world.topology.transaction():
        for _ in range(data.draw(st.integers(1, 8))):
            change(world, data.draw)
    assert_stays_as_qemu_would(world, world.spaces[0])
    for space, twin in zip(world.spaces, afresh(world).spaces, strict=True):
        assert [(r.region.name, *r[1:]) for r in space.view.ranges] == [
            (r.region.name, *r[1:]) for r in twin.view.ranges
        ]
