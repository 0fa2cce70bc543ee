"""The dispatch: lookup agrees with the flat view, numbering agrees with QEMU (spec/memory.md 4, E1, E7, E8)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from qshim.errors import MemoryModelError
from qshim.memory import AddressSpace, MemoryRegion, Topology
from qshim.memory.dispatch import NIL, Dispatch
from qshim.units import SPACE
from tests.memory.worlds import World, points, worlds


@given(worlds())
@settings(max_examples=200)
def test_lookup_equals_flat_view_at_every_address(world: World) -> None:
    for space in world.spaces:
        if space.view.root is None:
            continue
        dispatch = space.view.dispatch()
        for addr in points(space.view.ranges):
            found, section = space.view.find(addr), dispatch.resolve(addr)
            if found is None:
                assert section.region is None
            else:
                assert section.region is found.region
                assert section.offset + addr - section.start == found.offset + addr - found.start


def io_space(page_bits: int = 12) -> AddressSpace:
    topology = Topology(page_bits=page_bits)
    return AddressSpace(topology, MemoryRegion.io(topology, "io", 0x10000), "I/O")


def test_small_space_is_compacted_to_its_leaf() -> None:
    dispatch = io_space().view.dispatch()
    assert dispatch.root == (6, 5)
    assert [nodes[0] for nodes in dispatch.nodes] == [(5, 5), (4, 5), (3, 5), (2, 5), (1, 5), (0, 1)]
    assert dispatch.nodes[5].count((0, 1)) == 16
    assert dispatch.nodes[0][1:] == [(1, NIL)] * 511


def test_whole_space_iommu_is_a_run_of_top_level_leaves() -> None:
    topology = Topology()
    space = AddressSpace(topology, MemoryRegion.iommu(topology, "iommu-sun4m", SPACE), "iommu")
    dispatch = space.view.dispatch()
    assert dispatch.root == (1, 0)
    assert len(dispatch.nodes) == 1
    assert dispatch.nodes[0].count((0, 1)) == 128


@pytest.mark.parametrize(("page_bits", "levels"), [(8, 7), (10, 6), (12, 6), (13, 6), (14, 6), (16, 6)])
def test_levels_follow_the_page_size(page_bits: int, levels: int) -> None:
    assert Dispatch((), page_bits).levels == levels


def test_subpage_section_stands_before_the_first_part_of_its_page() -> None:
    topology = Topology()
    root = MemoryRegion(topology, "system", SPACE)
    space = AddressSpace(topology, root, "memory")
    root.add_subregion(MemoryRegion.io(topology, "hpet", 0x400), 0xFED00000)
    root.add_subregion(MemoryRegion.io(topology, "more", 0x1800), 0xFED00800)
    sections = space.view.dispatch().sections
    assert [(s.region.name if s.region else None, s.start, s.size) for s in sections] == [
        (None, 0, SPACE),
        (None, 0xFED00000, 0x1000),
        ("hpet", 0xFED00000, 0x400),
        ("more", 0xFED00800, 0x800),
        ("more", 0xFED01000, 0x1000),
    ]
    assert space.view.dispatch().resolve(0xFED00600).region is None


def test_more_sections_than_a_page_has_bytes_are_refused() -> None:
    topology = Topology(page_bits=8)
    root = MemoryRegion(topology, "system", SPACE)
    space = AddressSpace(topology, root, "memory")
    with topology.transaction():
        for number in range(256):
            root.add_subregion(MemoryRegion.io(topology, f"io{number}", 0x100), number * 0x200)
    with pytest.raises(MemoryModelError, match="cannot hold more than 255 sections"):
        space.view.dispatch()
