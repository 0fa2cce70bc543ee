"""Reads and writes through an address space (spec/memory.md 7).

An access is cut into pieces: memory is copied up to the end of its range; for device registers the
piece is as large as the device and the alignment allow. The results of all pieces are OR-ed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from qshim.memory.addrspace import AddressSpace
from qshim.memory.flatview import FlatRange
from qshim.memory.ops import ATTRS_UNSPECIFIED, UNASSIGNED_OPS, MemoryRegionOps, MemTxAttrs, MemTxResult
from qshim.memory.region import DIRTY_CODE, MemoryRegion
from qshim.memory.topology import Topology

__all__ = ["InvalidAccess", "Place", "dispatch_read", "dispatch_write", "read", "translate", "write", "write_rom"]

_IOMMU_HOPS = 64
"""An IOMMU that leads back to itself is cut off here instead of being followed for ever."""


class InvalidAccess(NamedTuple):
    """An access that a device does not take, for the log (memory.md 7.2)."""

    is_write: bool
    addr: int
    """Offset in the region; for unassigned memory the address."""
    size: int
    region: str | None
    """None: unassigned memory."""
    reason: str
    """`rejected`, `unaligned` or `invalid size (min:M max:N)`."""


class Place(NamedTuple):
    """What answers at an address: *region* None is unassigned memory, *length* what one piece may cover."""

    region: MemoryRegion | None
    offset: int
    length: int


def translate(
    space: AddressSpace, addr: int, length: int, is_write: bool, attrs: MemTxAttrs = ATTRS_UNSPECIFIED
) -> Place:
    """Find what answers at *addr*, IOMMUs followed; memory ends the piece at the end of its range."""
    space.topology.lookups += 1
    for _ in range(_IOMMU_HOPS):
        view = space.view
        view.last_lookup = addr
        found = view.find(addr)
        if found is None:
            return Place(None, addr, length)
        region, offset = found.region, addr - found.start + found.offset
        if not region.is_iommu:
            return Place(region, offset, _cut(found, addr, length))
        if region.translate is None:
            return Place(None, addr, length)
        entry = region.translate(offset, is_write)
        if not (entry.writable if is_write else entry.readable):
            return Place(None, addr, length)
        addr = entry.translated & ~entry.mask | offset & entry.mask
        length = min(length, (addr | entry.mask) - addr + 1)
        space = entry.space
    return Place(None, addr, length)


def _cut(found: FlatRange, addr: int, length: int) -> int:
    return min(length, found.start + found.size - addr) if found.region.ram else length


def _is_direct(topology: Topology, region: MemoryRegion, is_write: bool, attrs: MemTxAttrs) -> bool:
    """Whether an access copies memory instead of calling ops (memory.md 7.1).

    Only the region's own readonly counts, not the range's: a write through a read-only alias of
    writable RAM goes through.
    """
    if not is_write:
        return (region.ram and not region.ram_device) or (region.rom_device and region.romd_mode)
    if attrs.debug and topology.rules.debug_write_reaches_rom:
        return (region.ram and not region.ram_device) or (region.rom_device and region.romd_mode)
    return region.ram and not region.readonly and not region.ram_device


def _piece(region: MemoryRegion | None, offset: int, length: int) -> int:
    """Bytes of one access to ops: at most the device's maximum, aligned unless it takes unaligned ones."""
    ops = UNASSIGNED_OPS if region is None else region.ops
    limit = ops.valid.max or 4
    if not ops.impl.unaligned:
        alignment = offset & -offset
        if alignment and alignment < limit:
            limit = alignment
    length = min(length, limit)
    return 1 << (length.bit_length() - 1)


def read(
    space: AddressSpace, addr: int, length: int, attrs: MemTxAttrs = ATTRS_UNSPECIFIED
) -> tuple[bytes, MemTxResult]:
    """*length* bytes from *addr* (which wraps at 2^64); bytes that nobody gave are 0 and the result says so."""
    topology = space.topology
    result = MemTxResult.OK
    out = bytearray()
    while length > 0:
        addr &= (1 << 64) - 1
        region, offset, piece = translate(space, addr, length, False, attrs)
        if region is not None and _is_direct(topology, region, False, attrs):
            data, piece = _copy_out(region, offset, piece)
        elif attrs.memory:
            data, result = bytes(piece), result | MemTxResult.ACCESS_ERROR
        else:
            piece = _piece(region, offset, piece)
            value, outcome = _ask(topology, region, offset, piece, attrs)
            big = region is not None and region.ops.big(topology.big_endian)
            data, result = value.to_bytes(piece, "big" if big else "little"), result | outcome
        out += data
        addr, length = addr + piece, length - piece
    return bytes(out), result


def _copy_out(region: MemoryRegion, offset: int, length: int) -> tuple[bytes, int]:
    block = region.ram_block
    if block is None:
        return bytes(length), length
    inside = max(min(length, block.used_length - offset), 0)
    return (block.read(offset, inside) if inside else b"") + bytes(length - inside), length


def write(space: AddressSpace, addr: int, data: bytes, attrs: MemTxAttrs = ATTRS_UNSPECIFIED) -> MemTxResult:
    """Write *data* from *addr* on (which wraps at 2^64); every piece is attempted even after an error."""
    topology = space.topology
    result = MemTxResult.OK
    at = 0
    while at < len(data):
        here = (addr + at) & ((1 << 64) - 1)
        region, offset, piece = translate(space, here, len(data) - at, True, attrs)
        if region is not None and _is_direct(topology, region, True, attrs):
            _copy_in(topology, region, offset, data[at : at + piece])
        elif attrs.memory:
            result |= MemTxResult.ACCESS_ERROR
        else:
            piece = _piece(region, offset, piece)
            big = region is not None and region.ops.big(topology.big_endian)
            value = int.from_bytes(data[at : at + piece], "big" if big else "little")
            result |= _tell(topology, region, offset, value, piece, attrs)
        at += piece
    return result


def _copy_in(topology: Topology, region: MemoryRegion, offset: int, data: bytes) -> None:
    block = region.ram_block
    if block is None:
        return
    data = data[: max(block.used_length - offset, 0)]
    if not data:
        return
    block.write(offset, data)
    _set_dirty(topology, region, block.offset + offset, len(data))


def _set_dirty(topology: Topology, region: MemoryRegion, ram_addr: int, length: int) -> None:
    """Mark what was written dirty for those clients that look and had a clean page there (memory.md 5.12)."""
    dirty = topology.ram.dirty
    mask = dirty.clean_clients(ram_addr, length, region.effective_dirty_mask)
    # CODE is not set here: its bits say whether translated code exists, and nothing is translated
    if mask & ~DIRTY_CODE:
        dirty.set_range(ram_addr, length, mask & ~DIRTY_CODE)


def write_rom(space: AddressSpace, addr: int, data: bytes) -> MemTxResult:
    """Write RAM, ROM and ROM devices alike, as a loader or debugger does; other regions are skipped."""
    topology = space.topology
    at = 0
    while at < len(data):
        here = (addr + at) & ((1 << 64) - 1)
        region, offset, piece = translate(space, here, len(data) - at, True)
        if region is not None and (region.ram or (region.rom_device and region.romd_mode)):
            _copy_in(topology, region, offset, data[at : at + piece])
        else:
            piece = _piece(region, offset, piece)
        at += piece
    return MemTxResult.OK


# --- one access to a device (memory.md 7.2) ---


def _ask(
    topology: Topology, region: MemoryRegion | None, offset: int, size: int, attrs: MemTxAttrs
) -> tuple[int, MemTxResult]:
    if region is None:
        _log(topology, InvalidAccess(False, offset, size, None, "rejected"))
        return 0, MemTxResult.DECODE_ERROR
    return dispatch_read(region, offset, size, attrs)


def _tell(
    topology: Topology, region: MemoryRegion | None, offset: int, value: int, size: int, attrs: MemTxAttrs
) -> MemTxResult:
    if region is None:
        _log(topology, InvalidAccess(True, offset, size, None, "rejected"))
        return MemTxResult.DECODE_ERROR
    return dispatch_write(region, offset, value, size, attrs)


def dispatch_read(
    region: MemoryRegion, offset: int, size: int, attrs: MemTxAttrs = ATTRS_UNSPECIFIED
) -> tuple[int, MemTxResult]:
    """Read *size* bytes (1, 2, 4 or 8) of registers: (value in the device's order, result)."""
    while region.alias is not None:
        region, offset = region.alias, offset + region.alias_offset
    if not _valid(region, offset, size, False, attrs):
        return 0, MemTxResult.DECODE_ERROR
    if region.ram_device:
        return int.from_bytes(_copy_out(region, offset, size)[0], "little"), MemTxResult.OK
    ops = region.ops
    if ops.read is None:
        return 0, MemTxResult.OK
    big = ops.big(region.topology.big_endian)
    value, result = 0, MemTxResult.OK
    with _engaged(region) as free:
        if not free:
            return 0, MemTxResult.ACCESS_ERROR
        for at, step in _steps(ops, size):
            answer = ops.read(offset + at, step, attrs)
            part, outcome = answer if isinstance(answer, tuple) else (answer, MemTxResult.OK)
            value |= _shifted(part & (1 << 8 * step) - 1, 8 * (size - step - at if big else at))
            result |= outcome
    return value & (1 << 8 * size) - 1, result


def dispatch_write(
    region: MemoryRegion, offset: int, value: int, size: int, attrs: MemTxAttrs = ATTRS_UNSPECIFIED
) -> MemTxResult:
    """Write *size* bytes (1, 2, 4 or 8) of registers, *value* in the device's order."""
    while region.alias is not None:
        region, offset = region.alias, offset + region.alias_offset
    if not _valid(region, offset, size, True, attrs):
        return MemTxResult.DECODE_ERROR
    for event in region.ioeventfds:
        if event.matches(offset, size, value):
            event.notifier.set()
            return MemTxResult.OK
    if region.ram_device:
        _copy_in(region.topology, region, offset, value.to_bytes(size, "little"))
        return MemTxResult.OK
    ops = region.ops
    if ops.write is None:
        return MemTxResult.OK
    big = ops.big(region.topology.big_endian)
    result = MemTxResult.OK
    with _engaged(region) as free:
        if not free:
            return MemTxResult.ACCESS_ERROR
        for at, step in _steps(ops, size):
            part = _shifted(value, -8 * (size - step - at if big else at)) & (1 << 8 * step) - 1
            result |= ops.write(offset + at, part, step, attrs) or MemTxResult.OK
    return result


def _steps(ops: MemoryRegionOps, size: int) -> Iterator[tuple[int, int]]:
    """(offset, size) of the calls that make up one access; a call may be wider than the access."""
    step = max(min(size, ops.impl.max or 4), ops.impl.min or 1)
    return ((at, step) for at in range(0, size, step))


def _shifted(value: int, bits: int) -> int:
    return value << bits if bits >= 0 else value >> -bits


def _valid(region: MemoryRegion, offset: int, size: int, is_write: bool, attrs: MemTxAttrs) -> bool:
    ops = region.ops
    sizes = ops.valid
    if ops.accepts is not None and not ops.accepts(offset, size, is_write, attrs):
        reason = "rejected"
    elif not sizes.unaligned and offset & (size - 1):
        reason = "unaligned"
    elif sizes.max and not (sizes.min or 1) <= size <= sizes.max:
        reason = f"invalid size (min:{sizes.min} max:{sizes.max})"
    else:
        return True
    _log(region.topology, InvalidAccess(is_write, offset, size, region.name, reason))
    return False


def _log(topology: Topology, access: InvalidAccess) -> None:
    if topology.on_invalid_access is not None:
        topology.on_invalid_access(access)


@contextmanager
def _engaged(region: MemoryRegion) -> Iterator[bool]:
    """Guard against a device that reaches its own registers while it handles an access."""
    engaged = region.topology.engaged
    guarded = region.owner is not None and region.reentrancy_guard and not (region.ram or region.rom_device)
    if not guarded:
        yield True
        return
    key = id(region.owner)
    if key in engaged:
        yield False
        return
    engaged.add(key)
    try:
        yield True
    finally:
        engaged.discard(key)
