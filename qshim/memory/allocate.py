"""Asking for memory: region, destructor, block, offset and host address in one go (spec/memory.md 5.1).

This is the flow of every `memory_region_init_ram` and its relatives: the block comes first, at the
place that `RAMList.find_offset` picks; the region takes it; the region's destructor gives it back.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from qshim.errors import MemoryModelError
from qshim.memory.hostmem import HostSource
from qshim.memory.ops import MemoryRegionOps
from qshim.memory.ramblock import RAMBlock
from qshim.memory.region import MemoryRegion
from qshim.memory.topology import Topology

__all__ = [
    "allocate_ram", "allocate_ram_from_fd", "allocate_ram_from_file", "allocate_resizeable_ram", "allocate_rom",
    "allocate_rom_device", "guest_address_of", "register_ram",
]  # fmt: skip


def _give(topology: Topology, region: MemoryRegion, block: RAMBlock) -> MemoryRegion:
    region.ram_block = block
    block.region = region
    region.destructor = lambda: topology.ram.free(block)
    return region


def allocate_ram(
    topology: Topology, name: str, size: int, *, owner: object | None = None, source: HostSource | None = None
) -> MemoryRegion:
    """RAM of *size* bytes (the block is rounded up, the region is not); unnamed until `register_ram`.

    :raises MemoryModelError: size 0, or no room in ram_addr_t.
    """
    block = topology.ram.allocate(size, source=source)
    return _give(topology, MemoryRegion.memory(topology, name, size, owner=owner), block)


def allocate_rom(topology: Topology, name: str, size: int, *, owner: object | None = None) -> MemoryRegion:
    """ROM: RAM that is read-only to the guest."""
    region = allocate_ram(topology, name, size, owner=owner)
    region.readonly = True
    return region


def allocate_rom_device(
    topology: Topology, name: str, size: int, ops: MemoryRegionOps, *, owner: object | None = None
) -> MemoryRegion:
    """A ROM device, such as flash, with its memory."""
    block = topology.ram.allocate(size)
    return _give(topology, MemoryRegion.rom_device_memory(topology, name, size, ops, owner=owner), block)


def allocate_resizeable_ram(
    topology: Topology,
    name: str,
    size: int,
    max_size: int,
    *,
    owner: object | None = None,
    resized: Callable[[RAMBlock, int], None] | None = None,
) -> MemoryRegion:
    """RAM that may grow to *max_size* bytes; *resized* hears of each change."""
    block = topology.ram.allocate(size, max_size, resizeable=True, resized=resized)
    return _give(topology, MemoryRegion.memory(topology, name, size, owner=owner), block)


def allocate_ram_from_fd(
    topology: Topology,
    name: str,
    size: int,
    fd: int,
    *,
    owner: object | None = None,
    offset: int = 0,
    shared: bool = False,
    readonly: bool = False,
    rom: bool = False,
    align: int = 0,
) -> MemoryRegion:
    """RAM backed by the open file *fd*, which stays the caller's until the region goes.

    *readonly* is how the file is open, *rom* whether the guest may not write (10.0 and later tell
    the two apart; memory.md 5.4).

    :raises MemoryModelError: alignment, offset or size do not fit the file (memory.md 5.1).
    """
    page = _file_page(fd, topology.host_page)
    if align and align % page:
        raise MemoryModelError(f"alignment 0x{align:x} must be multiples of page size 0x{page:x}")
    if align & (align - 1):
        raise MemoryModelError(f"alignment 0x{align:x} must be a power of two")
    if offset % page:
        raise MemoryModelError(f"offset 0x{offset:x} must be multiples of page size 0x{page:x}")
    if size < page:
        raise MemoryModelError(f"memory size 0x{size:x} must be equal to or larger than page size 0x{page:x}")
    rounded = -(-size // page) * page
    present = os.fstat(fd).st_size
    if 0 < present < offset + size:
        raise MemoryModelError(
            f"{name} backing store size 0x{present:x} is too small for 'size' option 0x{size:x} "
            f"plus 'offset' option 0x{offset:x}"
        )
    if not present and not readonly:
        os.ftruncate(fd, offset + rounded)
    source = HostSource(fd=fd, offset=offset, shared=shared, readonly=readonly, align=align)
    block = topology.ram.allocate(size, page_size=page, source=source)
    region = MemoryRegion.memory(topology, name, size, owner=owner, readonly=rom)
    region.align = align
    return _give(topology, region, block)


def allocate_ram_from_file(
    topology: Topology,
    name: str,
    size: int,
    path: str,
    *,
    owner: object | None = None,
    offset: int = 0,
    shared: bool = False,
    readonly: bool = False,
    rom: bool | None = None,
    align: int = 0,
) -> MemoryRegion:
    """RAM backed by the file *path*, which is made when it is missing; *rom* None means as *readonly*.

    :raises MemoryModelError: the file cannot be opened, or see `allocate_ram_from_fd`.
    """
    flags = os.O_RDONLY if readonly else os.O_RDWR | os.O_CREAT
    try:
        fd = os.open(path, flags | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise MemoryModelError(
            f"can't open backing store {path} for guest RAM: {os.strerror(error.errno or 0)}"
        ) from error
    try:
        region = allocate_ram_from_fd(
            topology,
            name,
            size,
            fd,
            owner=owner,
            offset=offset,
            shared=shared,
            readonly=readonly,
            rom=readonly if rom is None else rom,
            align=align,
        )
    except MemoryModelError:
        os.close(fd)
        raise
    free = region.destructor
    assert free is not None

    def close_and_free() -> None:
        free()
        os.close(fd)

    region.destructor = close_and_free
    return region


def _file_page(fd: int, host_page: int) -> int:
    """Page size of the file's memory: the block size on hugetlbfs, else the host's page."""
    block_size = os.fstatvfs(fd).f_bsize
    return block_size if _on_hugetlbfs(fd) else host_page


def _on_hugetlbfs(fd: int) -> bool:
    try:
        target = os.path.realpath(f"/proc/self/fd/{fd}")
        with open("/proc/self/mounts", encoding="utf-8") as mounts:
            points = [line.split()[1] for line in mounts if line.split()[2] == "hugetlbfs"]
    except OSError:
        return False
    return any(target.startswith(point.rstrip("/") + "/") for point in points)


def register_ram(topology: Topology, region: MemoryRegion, device_path: str | None = None) -> None:
    """Name the region's block for migration: DEVICE_PATH/NAME, or NAME (memory.md 5.4).

    :raises MemoryModelError: the region has no block, or the name is taken.
    """
    if region.ram_block is None:
        raise MemoryModelError(f"'{region.name}' has no RAM block to name")
    topology.ram.register(region.ram_block, region.name or "", device_path)


def guest_address_of(topology: Topology, host: int) -> list[tuple[str, int]]:
    """Where a host address is visible to the guest: (address space, guest address) for each place.

    host -> block -> region -> flat ranges, the way back of a translation.
    """
    found = topology.ram.block_of_host(host)
    if found is None:
        return []
    block, offset = found
    places = []
    for space in topology.spaces:
        for r in space.view.ranges:
            if r.region.ram_block is block and r.offset <= offset < r.offset + r.size:
                places.append((space.name, r.start + offset - r.offset))
    return places
