"""RAM blocks: offsets, order, names, lengths, host memory (spec/memory.md 5.1 to 5.4, E6)."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qshim.errors import MemoryModelError
from qshim.memory import AddressSpace, MemoryRegion, RAMBlock, RAMList, Topology
from qshim.memory.allocate import (
    allocate_ram,
    allocate_ram_from_fd,
    allocate_ram_from_file,
    allocate_resizeable_ram,
    allocate_rom,
    guest_address_of,
    register_ram,
)
from qshim.memory.ramblock import SizeMismatchError
from qshim.units import SPACE, U64_MAX

MIB = 1 << 20


def slow_offset(blocks: tuple[RAMBlock, ...], size: int, page_bits: int) -> int | None:
    """The search as the spec words it: for each block the gap behind it, the smallest that fits."""
    if not blocks:
        return 0
    unit, best, mingap = 64 << page_bits, None, U64_MAX
    for block in blocks:
        candidate = (block.offset + block.max_length + unit - 1) // unit * unit
        following = min((b.offset for b in blocks if b.offset >= candidate), default=U64_MAX)
        if following - candidate >= size and following - candidate < mingap:
            best, mingap = candidate, following - candidate
    return best


@given(
    st.sampled_from([8, 10, 12, 14]),
    st.lists(st.one_of(st.integers(1, 40 * MIB), st.sampled_from([MIB, 4 * MIB]), st.none()), max_size=30),
    st.randoms(),
)
@settings(max_examples=200)
def test_offsets_and_order_equal_the_slow_search(page_bits: int, steps: list[int | None], random: Random) -> None:
    """None frees a random block, a number allocates so many bytes."""
    ram = RAMList(page_bits, 4096)
    for size in steps:
        if size is None:
            if ram.blocks:
                ram.free(random.choice(ram.blocks))
            continue
        expected = slow_offset(ram.blocks, ram.rounded(size), page_bits)
        assert ram.allocate(size).offset == expected
        lengths = [b.max_length for b in ram.blocks]
        assert lengths == sorted(lengths, reverse=True)


def test_gaps_are_filled_smallest_first() -> None:
    """memory.md E6, offsets and list as a q35 of 7.2 gave them."""
    ram = RAMList(12, 4096)
    for size, most in ((64 * MIB, None), (0x40000, None), (0x20000, None), (0x20000, 0x200000)):
        ram.allocate(size, most)
    loader, rsdp = ram.allocate(0x1000), ram.allocate(0x1000)
    assert (loader.offset, rsdp.offset) == (0x4280000, 0x42C0000)
    sizes = {"m1": 16 * MIB, "m2": 5 * MIB, "m3": MIB + 1, "m4": MIB, "m5": 64 * MIB}
    blocks = {name: ram.allocate(size) for name, size in sizes.items()}
    assert [b.offset for b in blocks.values()] == [0x4300000, 0x5300000, 0x5800000, 0x5940000, 0x5A40000]
    assert blocks["m3"].used_length == 0x101000
    ram.free(blocks["m2"])
    assert (ram.allocate(3 * MIB).offset, ram.allocate(MIB).offset) == (0x5300000, 0x5600000)
    assert [b.offset for b in ram.blocks][:8] == [
        *(0, 0x5A40000, 0x4300000, 0x5300000, 0x4080000, 0x5800000, 0x5940000, 0x5600000),
    ]


def test_no_gap_and_no_size_are_refused() -> None:
    ram = RAMList(12, 4096)
    ram.allocate(1 << 63)
    with pytest.raises(MemoryModelError, match="Failed to find gap of requested size: 9223372036854775808"):
        ram.allocate(1 << 63)
    with pytest.raises(MemoryModelError, match="cannot have size 0"):
        ram.allocate(0)


def test_names_collide_and_are_cut() -> None:
    topology = Topology()
    a, b = (allocate_ram(topology, "vga.vram", MIB) for _ in range(2))
    register_ram(topology, a, "0000:00:02.0")
    assert a.ram_block is not None
    assert b.ram_block is not None
    assert (a.ram_block.idstr, a.ram_block.migratable, b.ram_block.idstr) == ("0000:00:02.0/vga.vram", True, "")
    with pytest.raises(MemoryModelError, match=r'^RAMBlock "0000:00:02.0/vga.vram" already registered, abort!$'):
        register_ram(topology, b, "0000:00:02.0")
    topology.ram.unregister(a.ram_block)
    register_ram(topology, b, "0000:00:02.0")
    topology.ram.register(a.ram_block, "x" * 300)
    assert len(a.ram_block.idstr) == 255
    assert topology.ram.by_name("0000:00:02.0/vga.vram") is b.ram_block


def test_resize_keeps_the_unrounded_size_in_the_region() -> None:
    topology = Topology()
    heard: list[int] = []
    region = allocate_resizeable_ram(
        topology, "etc/acpi/tables", 5000, 2 * MIB, resized=lambda block, used: heard.append(used)
    )
    block = region.ram_block
    assert block is not None
    topology.ram.register(block, "/rom@etc/acpi/tables")
    assert (region.size, block.used_length, block.max_length) == (5000, 0x2000, 2 * MIB)
    topology.ram.resize(block, 0x1FFF)
    assert (region.size, block.used_length, heard) == (0x1FFF, 0x2000, [0x2000])
    topology.ram.resize(block, 0x20001)
    assert (region.size, block.used_length, heard) == (0x20001, 0x21000, [0x2000, 0x21000])
    with pytest.raises(SizeMismatchError) as caught:
        topology.ram.resize(block, 4 * MIB)
    assert str(caught.value) == "Size too large: /rom@etc/acpi/tables: 0x400000 > 0x200000: Invalid argument"


def test_a_fixed_block_does_not_resize() -> None:
    topology = Topology()
    region = allocate_ram(topology, "pc.ram", MIB)
    register_ram(topology, region)
    assert region.ram_block is not None
    with pytest.raises(SizeMismatchError) as caught:
        topology.ram.resize(region.ram_block, 2 * MIB)
    assert str(caught.value) == "Size mismatch: pc.ram: 0x200000 != 0x100000: Invalid argument"


def test_adopted_blocks_may_not_overlap() -> None:
    ram = RAMList(12, 4096)
    ram.adopt(RAMBlock(0, MIB, MIB, idstr="a"))
    with pytest.raises(MemoryModelError, match=r"RAM block 'b' at 0x80000\+0x100000 overlaps 'a' at 0x0\+0x100000"):
        ram.adopt(RAMBlock(0x80000, MIB, MIB, idstr="b"))
    with pytest.raises(MemoryModelError, match="already registered"):
        ram.adopt(RAMBlock(4 * MIB, MIB, MIB, idstr="a"))
    with pytest.raises(MemoryModelError, match="leaves ram_addr_t"):
        ram.adopt(RAMBlock(SPACE - MIB, 2 * MIB, 2 * MIB))
    assert len(ram.blocks) == 1


def test_from_guest_address_to_host_and_back() -> None:
    """The allocation flow end to end: region, block, offset, host; and host, block, guest address."""
    topology = Topology()
    system = MemoryRegion(topology, "system", SPACE)
    space = AddressSpace(topology, system, "memory")
    rom = allocate_rom(topology, "pc.bios", 0x40000)
    ram = allocate_ram(topology, "pc.ram", 64 * MIB)
    system.add_subregion(ram, 0x100000)
    system.add_subregion(rom, SPACE - 0x40000)
    found = space.view.find(0x100000 + 0x1234)
    assert found is not None
    block = found.region.ram_block
    assert block is ram.ram_block
    assert block is not None
    host = block.host + found.offset + 0x1234
    assert block.host % (2 * MIB) == 0
    assert guest_address_of(topology, host) == [("memory", 0x101234)]
    assert topology.ram.block_at(block.offset + 5) is block
    assert guest_address_of(topology, 1) == []
    system.del_subregion(ram)
    ram.finalize()
    assert topology.ram.blocks == (rom.ram_block,)


def test_a_terabyte_costs_nothing_until_it_is_used() -> None:
    topology = Topology()
    region = allocate_ram(topology, "pc.ram", 1 << 40)
    block = region.ram_block
    assert block is not None
    assert not block.is_mapped
    block.write((1 << 40) - 5, b"hello")
    assert block.read((1 << 40) - 8, 8) == b"\0\0\0hello"
    with open("/proc/self/statm", encoding="ascii") as statm:
        resident = int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    assert resident < 1 << 30
    block.discard((1 << 40) - 4096, 4096)
    assert block.read((1 << 40) - 5, 5) == bytes(5)
    block.unmap()


def test_accesses_beyond_the_used_part_are_refused() -> None:
    topology = Topology()
    region = allocate_resizeable_ram(topology, "t", 0x1000, 0x2000)
    assert region.ram_block is not None
    with pytest.raises(MemoryModelError, match="0x10 bytes at 0xff8 do not lie in RAM block"):
        region.ram_block.read(0xFF8, 16)


def test_file_backed_memory_shares_or_copies(tmp_path: Path) -> None:
    path = tmp_path / "ram"
    topology = Topology()
    shared = allocate_ram_from_file(topology, "m0", 0x4000, str(path), shared=True)
    assert path.stat().st_size == 0x4000
    assert shared.ram_block is not None
    shared.ram_block.write(0x1000, b"shared")
    assert path.read_bytes()[0x1000:0x1006] == b"shared"
    private = allocate_ram_from_file(topology, "m1", 0x2000, str(path), offset=0x1000)
    assert private.ram_block is not None
    assert private.ram_block.read(0, 6) == b"shared"
    private.ram_block.write(0, b"PRIVAT")
    assert path.read_bytes()[0x1000:0x1006] == b"shared"
    readonly = allocate_ram_from_file(topology, "m2", 0x4000, str(path), shared=True, readonly=True)
    assert readonly.readonly
    assert readonly.ram_block is not None
    assert readonly.ram_block.host % 4096 == 0
    for region in (shared, private, readonly):
        region.finalize()
    assert topology.ram.blocks == ()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"align": 0x800}, "alignment 0x800 must be multiples of page size 0x1000"),
        ({"align": 0x3000}, "alignment 0x3000 must be a power of two"),
        ({"offset": 0x10}, "offset 0x10 must be multiples of page size 0x1000"),
        ({"size": 0x10}, "memory size 0x10 must be equal to or larger than page size 0x1000"),
        (
            {"size": 0x9000, "offset": 0x1000},
            "m0 backing store size 0x2000 is too small for 'size' option 0x9000 plus 'offset' option 0x1000",
        ),
    ],
)
def test_files_that_do_not_fit(tmp_path: Path, arguments: dict[str, int], message: str) -> None:
    path = tmp_path / "ram"
    path.write_bytes(bytes(0x2000))
    topology = Topology()
    offset, align = arguments.get("offset", 0), arguments.get("align", 0)
    with pytest.raises(MemoryModelError) as caught:
        allocate_ram_from_file(
            topology, "m0", arguments.get("size", 0x1000), str(path), offset=offset, align=align
        )
    assert str(caught.value) == message
    assert topology.ram.blocks == ()


def test_memfd_and_a_file_that_cannot_be_opened() -> None:
    topology = Topology()
    fd = os.memfd_create("m0")
    region = allocate_ram_from_fd(topology, "m0", 0x1000, fd, shared=True)
    assert region.ram_block is not None
    region.ram_block.write(0, b"x")
    assert os.pread(fd, 1, 0) == b"x"
    region.finalize()
    os.close(fd)
    with pytest.raises(
        MemoryModelError, match="can't open backing store /nonexistent/ram for guest RAM: No such file or directory"
    ):
        allocate_ram_from_file(topology, "m1", 0x1000, "/nonexistent/ram")
