"""Random memory trees, and random changes to them, for the laws of the memory model.

A world is a list of regions in which everything points downwards (children and alias targets have a
smaller number), so that no cycle can arise. Addresses lie at both ends of the 64-bit space, where
clipping, wrapping and underflow happen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from qshim.memory import AddressSpace, FlatRange, MemoryRegion, Topology
from qshim.units import SPACE

LOW, HIGH = 48, SPACE - 48
Draw = Callable[[st.SearchStrategy[Any]], Any]
ADDRESSES = st.one_of(st.integers(0, LOW), st.integers(0, LOW), st.integers(HIGH, SPACE - 1))
SIZES = st.one_of(st.integers(0, 32), st.integers(1, 16), st.sampled_from([SPACE, SPACE - 1, SPACE - 8, 1 << 63]))
PRIORITIES = st.integers(-2, 2)
KINDS = ("container", "container", "io", "ram", "rom", "romd", "alias", "alias", "iommu")


@dataclass
class World:
    """A topology with everything that was made in it."""

    topology: Topology
    regions: list[MemoryRegion] = field(default_factory=list)
    spaces: list[AddressSpace] = field(default_factory=list)
    log: list[str] = field(default_factory=list)


def make_region(
    topology: Topology, kind: str, name: str, size: int, target: MemoryRegion | None, offset: int
) -> MemoryRegion:
    """One region of a kind of `KINDS`; an alias without a target becomes I/O."""
    if kind == "alias" and target is not None:
        return MemoryRegion.alias_of(topology, name, target, offset, size)
    makers: dict[str, Callable[[], MemoryRegion]] = {
        "container": lambda: MemoryRegion(topology, name, size),
        "ram": lambda: MemoryRegion.memory(topology, name, size),
        "rom": lambda: MemoryRegion.memory(topology, name, size, readonly=True),
        "romd": lambda: MemoryRegion.rom_device_memory(topology, name, size),
        "iommu": lambda: MemoryRegion.iommu(topology, name, size),
    }
    return makers.get(kind, lambda: MemoryRegion.io(topology, name, size))()


@st.composite
def worlds(draw: st.DrawFn, page_bits: int = 8) -> World:
    """A world with up to twelve regions, some mapped into each other, and up to three address spaces."""
    world = World(Topology(page_bits=page_bits))
    for number in range(draw(st.integers(2, 12))):
        target = draw(st.sampled_from(world.regions)) if world.regions else None
        kind = draw(st.sampled_from(KINDS))
        size = draw(SIZES)
        region = make_region(world.topology, kind, f"r{number}", size, target, draw(ADDRESSES))
        world.regions.append(region)
        for child in draw(st.lists(st.sampled_from(world.regions[:-1]), max_size=4)) if number else []:
            _map(region, child, draw(ADDRESSES), draw(PRIORITIES))
    for number in range(draw(st.integers(1, 3))):
        root = draw(st.sampled_from(world.regions))
        world.spaces.append(AddressSpace(world.topology, root, f"as{number}"))
    return world


def _map(container: MemoryRegion, child: MemoryRegion, addr: int, priority: int) -> None:
    if child.container is None and container.alias is None:
        container.add_subregion(child, addr, priority)


def change(world: World, draw: Draw) -> None:
    """One random mutator call on a random region."""
    number = draw(st.integers(0, len(world.regions) - 1))
    region = world.regions[number]
    what = draw(st.sampled_from(["enable", "move", "size", "unmap", "map", "flags", "alias", "romd", "log"]))
    world.log.append(f"{what} {region.name}")
    if what == "enable":
        region.set_enabled(not region.enabled)
    elif what == "move":
        region.set_address(draw(ADDRESSES))
    elif what == "size":
        region.set_size(draw(SIZES))
    elif what == "unmap" and region.container is not None:
        region.container.del_subregion(region)
    elif what == "map" and number + 1 < len(world.regions):
        _map(world.regions[draw(st.integers(number + 1, len(world.regions) - 1))], region, draw(ADDRESSES), 0)
    elif what == "flags":
        flag = draw(st.sampled_from(["readonly", "nonvolatile", "unmergeable"]))
        getattr(region, f"set_{flag}")(not getattr(region, flag))
    elif what == "alias" and region.alias is not None:
        region.set_alias_offset(draw(ADDRESSES))
    elif what == "romd" and region.rom_device:
        region.set_romd_mode(not region.romd_mode)
    elif what == "log":
        region.set_vga_logging(not region.vga_logging_count)


def at(root: MemoryRegion, addr: int) -> tuple[MemoryRegion, int, bool, bool] | None:
    """Slow and obvious: the region at one address, its offset there, whether read-only and non-volatile."""

    def inside(region: MemoryRegion, here: int, ro: bool, nv: bool) -> tuple[MemoryRegion, int, bool, bool] | None:
        # *here*: the address relative to the container
        offset = here - region.addr
        if not region.enabled or not 0 <= offset < region.size:
            return None
        ro, nv = ro or region.readonly, nv or region.nonvolatile
        if region.alias is not None:
            return inside(region.alias, offset + region.alias_offset + region.alias.addr, ro, nv)
        for child in region.subregions:
            if found := inside(child, offset, ro, nv):
                return found
        return (region, offset, ro, nv) if region.terminates else None

    return inside(root, addr, False, False)


def points(ranges: tuple[FlatRange, ...]) -> list[int]:
    """Addresses at which a view of a world can change, and all near both ends."""
    edges = {edge + d for r in ranges for edge in (r.start, r.start + r.size) for d in (-1, 0, 1)}
    edges |= set(range(2 * LOW + 40)) | set(range(SPACE - 100, SPACE)) | {1 << 63, (1 << 63) - 1}
    return sorted(a for a in edges if 0 <= a < SPACE)


def afresh(world: World) -> World:
    """The same end state, built in a new topology without any history."""
    built = World(Topology(page_bits=world.topology.page_bits))
    twin: dict[MemoryRegion, MemoryRegion] = {}
    for region in world.regions:
        target = None if region.alias is None else twin[region.alias]
        kind = (
            "alias" if target else "iommu" if region.is_iommu else "romd" if region.rom_device
            else "ram" if region.ram else "io" if region.terminates else "container"
        )  # fmt: skip
        copy = make_region(built.topology, kind, region.name or "", region.size, target, region.alias_offset)
        copy.readonly, copy.nonvolatile = region.readonly, region.nonvolatile
        copy.unmergeable, copy.romd_mode = region.unmergeable, region.romd_mode
        copy.enabled, copy.addr, copy.dirty_log_mask = region.enabled, region.addr, region.dirty_log_mask
        twin[region] = copy
        built.regions.append(copy)
    for region in world.regions:
        for child in reversed(region.subregions):
            twin[region].add_subregion(twin[child], child.addr, child.priority)
    for space in world.spaces:
        built.spaces.append(AddressSpace(built.topology, twin[space.root], space.name))
    return built
