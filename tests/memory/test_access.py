"""Accesses: splitting, sizes, byte order, results (spec/memory.md 7)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qshim.memory import (
    IO_PORT_OPS,
    AddressSpace,
    Endian,
    MemoryRegion,
    MemoryRegionOps,
    MemTxAttrs,
    MemTxResult,
    Rules,
    Topology,
)
from qshim.memory.access import InvalidAccess, read, write, write_rom
from qshim.memory.allocate import allocate_ram, allocate_rom, allocate_rom_device
from qshim.memory.iommu import IommuEntry
from qshim.memory.ops import AccessSizes
from qshim.units import SPACE

Call = tuple[object, ...]


class Machine:
    """An empty 64-bit address space and a device that writes its accesses down."""

    def __init__(self, big_endian: bool = False, rules: Rules | None = None) -> None:
        self.topology = Topology(big_endian=big_endian, rules=rules)
        self.system = MemoryRegion(self.topology, "system", SPACE)
        self.space = AddressSpace(self.topology, self.system, "memory")
        self.calls: list[Call] = []

    def device(self, addr: int = 0x1000, size: int = 0x400, **ops: object) -> MemoryRegion:
        def on_read(offset: int, length: int, attrs: MemTxAttrs) -> int:
            self.calls.append(("read", offset, length))
            return int.from_bytes(bytes(range(offset & 0xFF, (offset & 0xFF) + length)), "little")

        def on_write(offset: int, value: int, length: int, attrs: MemTxAttrs) -> None:
            self.calls.append(("write", offset, value, length))

        region = MemoryRegion.io(
            self.topology, "dev", size, MemoryRegionOps(read=on_read, write=on_write, **ops)  # type: ignore[arg-type]
        )
        self.system.add_subregion(region, addr)
        return region


def test_memory_ends_a_piece_and_registers_follow() -> None:
    machine = Machine()
    ram = allocate_ram(machine.topology, "ram", 0x1000)
    machine.system.add_subregion(ram, 0)
    machine.device(impl=AccessSizes(1, 8))
    assert write(machine.space, 0xFFC, b"abcdEFGH") is MemTxResult.OK
    assert ram.ram_block is not None
    assert ram.ram_block.read(0xFFC, 4) == b"abcd"
    assert machine.calls == [("write", 0, int.from_bytes(b"EFGH", "little"), 4)]


@pytest.mark.parametrize(
    ("valid", "impl", "addr", "length", "calls"),
    [
        # the piece is limited to 4 where valid.max is not given, and by the alignment of the offset
        (AccessSizes(), AccessSizes(), 0x1000, 8, [("read", 0, 4), ("read", 4, 4)]),
        (AccessSizes(), AccessSizes(), 0x1001, 4, [("read", 1, 1), ("read", 2, 2), ("read", 4, 1)]),
        (AccessSizes(1, 8), AccessSizes(1, 8), 0x1000, 8, [("read", 0, 8)]),
        (AccessSizes(1, 8), AccessSizes(1, 2), 0x1000, 4, [("read", 0, 2), ("read", 2, 2)]),
        # impl.min wider than the access: the device sees the wide one at the unaligned address
        (AccessSizes(1, 4), AccessSizes(4, 4), 0x1002, 1, [("read", 2, 4)]),
        (AccessSizes(1, 4, True), AccessSizes(1, 4, True), 0x1001, 4, [("read", 1, 4)]),
    ],
)
def test_pieces_and_calls(
    valid: AccessSizes, impl: AccessSizes, addr: int, length: int, calls: list[Call]
) -> None:
    machine = Machine()
    machine.device(valid=valid, impl=impl)
    data, result = read(machine.space, addr, length)
    assert (machine.calls, result) == (calls, MemTxResult.OK)
    assert data == bytes(range(addr & 0xFF, (addr & 0xFF) + length))


@pytest.mark.parametrize("big_target", [False, True])
@pytest.mark.parametrize(("endian", "is_big"), [(Endian.LITTLE, False), (Endian.BIG, True), (Endian.NATIVE, None)])
def test_byte_order_is_the_devices(big_target: bool, endian: Endian, is_big: bool | None) -> None:
    machine = Machine(big_endian=big_target)
    machine.device(endian=endian)
    write(machine.space, 0x1000, b"\x01\x02\x03\x04")
    expected = 0x01020304 if (big_target if is_big is None else is_big) else 0x04030201
    assert machine.calls == [("write", 0, expected, 4)]


@given(st.integers(1, 8), st.sampled_from([1, 2, 4]), st.booleans())
def test_split_writes_carry_the_bytes_in_order(length: int, impl_max: int, big: bool) -> None:
    machine = Machine()
    machine.device(endian=Endian.BIG if big else Endian.LITTLE, impl=AccessSizes(1, impl_max), valid=AccessSizes(1, 8))
    data = bytes(range(0x11, 0x11 + length))
    write(machine.space, 0x1000, data)
    seen = {}
    for _, offset, value, size in machine.calls:
        assert isinstance(offset, int)
        assert isinstance(value, int)
        assert isinstance(size, int)
        for at, byte in enumerate(value.to_bytes(size, "big" if big else "little")):
            seen[offset + at] = byte
    assert bytes(seen[at] for at in range(length)) == data


def test_unassigned_reads_zero_with_decode_error_and_ports_read_ones() -> None:
    machine = Machine()
    assert read(machine.space, 0x80000000, 4) == (bytes(4), MemTxResult.DECODE_ERROR)
    assert write(machine.space, 0x80000000, b"x") is MemTxResult.DECODE_ERROR
    machine.system.add_subregion(MemoryRegion.io(machine.topology, "hole", 0x10), 0)
    assert read(machine.space, 0, 4) == (bytes(4), MemTxResult.DECODE_ERROR)
    ports = MemoryRegion.io(machine.topology, "io", 0x10000, IO_PORT_OPS)
    space = AddressSpace(machine.topology, ports, "I/O")
    assert read(space, 0x9999, 1) == (b"\xff", MemTxResult.OK)
    assert write(space, 0x9999, b"\0") is MemTxResult.OK


def test_what_a_device_refuses_is_logged_with_its_reason() -> None:
    machine = Machine()
    machine.device(valid=AccessSizes(4, 4))
    log: list[InvalidAccess] = []
    machine.topology.on_invalid_access = log.append
    data, result = read(machine.space, 0x1001, 2)
    assert (data, result) == (bytes(2), MemTxResult.DECODE_ERROR)
    read(machine.space, 0x900000, 8)
    reason = "invalid size (min:4 max:4)"
    assert log == [
        InvalidAccess(False, 1, 1, "dev", reason),
        InvalidAccess(False, 2, 1, "dev", reason),
        InvalidAccess(False, 0x900000, 4, None, "rejected"),
        InvalidAccess(False, 0x900004, 4, None, "rejected"),
    ]


def test_rom_drops_writes_but_a_readonly_alias_of_ram_does_not() -> None:
    machine = Machine()
    rom = allocate_rom(machine.topology, "rom", 0x1000)
    ram = allocate_ram(machine.topology, "ram", 0x1000)
    pam = MemoryRegion.alias_of(machine.topology, "pam-rom", ram, 0, 0x1000)
    pam.set_readonly(True)
    machine.system.add_subregion(rom, 0)
    machine.system.add_subregion(pam, 0x1000)
    assert write(machine.space, 0, b"x") is MemTxResult.DECODE_ERROR
    assert write(machine.space, 0x1000, b"x") is MemTxResult.OK
    assert read(machine.space, 0, 1) == (b"\0", MemTxResult.OK)
    assert read(machine.space, 0x1000, 1) == (b"x", MemTxResult.OK)
    assert write_rom(machine.space, 0xFFE, b"rom!") is MemTxResult.OK
    assert read(machine.space, 0xFFE, 4)[0] == b"rom!"


@pytest.mark.parametrize("modern", [True, False])
def test_a_debugger_writes_rom_directly_since_10_0(modern: bool) -> None:
    machine = Machine(rules=Rules(debug_write_reaches_rom=modern))
    machine.system.add_subregion(allocate_rom(machine.topology, "rom", 0x1000), 0)
    result = write(machine.space, 0, b"x", MemTxAttrs(debug=True))
    assert result is (MemTxResult.OK if modern else MemTxResult.DECODE_ERROR)


def test_a_rom_device_is_read_directly_only_in_romd_mode() -> None:
    machine = Machine()
    calls: list[str] = []

    def on_read(offset: int, size: int, attrs: MemTxAttrs) -> int:
        calls.append("read")
        return 0x89

    def on_write(offset: int, value: int, size: int, attrs: MemTxAttrs) -> None:
        calls.append("write")

    ops = MemoryRegionOps(read=on_read, write=on_write)
    flash = allocate_rom_device(machine.topology, "flash", 0x1000, ops)
    machine.system.add_subregion(flash, 0)
    assert read(machine.space, 0, 1) == (b"\0", MemTxResult.OK)
    write(machine.space, 0, b"\x90")
    flash.set_romd_mode(False)
    assert read(machine.space, 0, 1) == (b"\x89", MemTxResult.OK)
    assert calls == ["write", "read"]


def test_memory_only_accesses_do_not_reach_devices() -> None:
    machine = Machine()
    machine.device()
    assert read(machine.space, 0x1000, 4, MemTxAttrs(memory=True)) == (bytes(4), MemTxResult.ACCESS_ERROR)
    assert machine.calls == []


def test_a_device_that_reaches_itself_is_stopped() -> None:
    machine = Machine()
    owner = object()
    results: list[MemTxResult] = []

    def on_read(offset: int, size: int, attrs: MemTxAttrs) -> int:
        results.append(read(machine.space, 0x2000, 1)[1])
        return 0

    for addr in (0x1000, 0x2000):
        region = MemoryRegion.io(machine.topology, "dev", 0x100, MemoryRegionOps(read=on_read), owner=owner)
        machine.system.add_subregion(region, addr)
    assert read(machine.space, 0x1000, 1)[1] is MemTxResult.OK
    assert results == [MemTxResult.ACCESS_ERROR]


def test_an_ioeventfd_takes_the_write() -> None:
    machine = Machine()
    region = machine.device()

    class Bell:
        rung = 0

        def set(self) -> None:
            self.rung += 1

    bell = Bell()
    region.add_eventfd(4, 2, bell, match_data=True, data=7)
    write(machine.space, 0x1004, b"\7\0")
    write(machine.space, 0x1004, b"\6\0")
    assert (bell.rung, machine.calls) == (1, [("write", 4, 6, 2)])


def test_an_iommu_translates_and_may_refuse() -> None:
    machine = Machine()
    ram = allocate_ram(machine.topology, "ram", 0x10000)
    machine.system.add_subregion(ram, 0)

    def walk(offset: int, is_write: bool) -> IommuEntry:
        return IommuEntry(machine.space, (offset ^ 0x1000) & ~0xFFF, 0xFFF, writable=offset < 0x1000)

    bus = AddressSpace(machine.topology, MemoryRegion.iommu(machine.topology, "iommu", SPACE, walk), "bus")
    assert write(bus, 0x10, b"dma") is MemTxResult.OK
    assert read(machine.space, 0x1010, 3)[0] == b"dma"
    assert write(bus, 0x1010, b"dma") is MemTxResult.DECODE_ERROR
    # crossing a page of the IOMMU splits the access
    assert read(bus, 0xFFE, 4)[1] is MemTxResult.OK
    closed = AddressSpace(machine.topology, MemoryRegion.iommu(machine.topology, "off", SPACE), "closed")
    assert read(closed, 0, 4) == (bytes(4), MemTxResult.DECODE_ERROR)


def test_nothing_is_read_for_nothing() -> None:
    machine = Machine()
    assert read(machine.space, 0, 0) == (b"", MemTxResult.OK)
    assert write(machine.space, 0, b"") is MemTxResult.OK
