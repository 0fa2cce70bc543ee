"""Guest memory for monitor commands: reading it by physical and virtual address, finding RAM, saving it.

HMP and QMP share these. Memory that was never mapped is known to be zero, so a terabyte of it is
passed over at once. Files are made by whoever serves the machine (`Vm.files`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from qshim.memory import AddressSpace, MemoryRegion
from qshim.memory.access import read
from qshim.memory.ops import MemTxResult
from qshim.monitor.registry import CommandError

if TYPE_CHECKING:
    from qshim.memory import FlatRange
    from qshim.vm import Vm

__all__ = [
    "Found", "NoAnswer", "chunks", "create", "find_ram", "is_memory", "memsave", "physical", "pmemsave", "reached",
    "store", "stretch", "system", "unanswering", "virtual_is_physical",
]  # fmt: skip

_CHUNK = 1 << 20
_MOST_ZEROS = 1 << 36
"""Bytes of nothing that are written where no hole can be left; more is refused."""
_SPACE = 1 << 64
_X86_PHYSICAL = 1 << 52


class NoAnswer(CommandError):
    """A device whose registers qshim does not model would have to answer."""


class Found(NamedTuple):
    """What holds a guest address."""

    region: MemoryRegion
    offset: int
    """In the region, bytes."""
    length: int
    """Bytes from there to the end of its range."""


def system(vm: Vm, cpu: int | None = None) -> AddressSpace | None:
    """The address space that CPU *cpu* reads, or the system's; None where the machine has none."""
    named = {space.name: space for space in reversed(vm.topology.spaces)}
    own = named.get(f"cpu-memory-{cpu}") if cpu is not None else None
    return own or named.get("memory")


def virtual_is_physical(vm: Vm) -> bool:
    """Whether the CPUs translate nothing: so at reset; later nobody but a CPU could tell."""
    recording = vm.recording
    return recording is None or recording.when == "reset"


def reached(vm: Vm, addr: int) -> int:
    """The physical address that virtual *addr* leads to where CPUs translate nothing.

    An x86 CPU without paging drops the bits above the address field of its page table entries.
    """
    return addr % _X86_PHYSICAL if vm.target in ("x86_64", "i386") else addr


def is_memory(region: MemoryRegion) -> bool:
    """Whether reads copy memory."""
    return (region.ram and not region.ram_device) or (region.rom_device and region.romd_mode)


def unanswering(space: AddressSpace, addr: int, length: int) -> MemoryRegion | None:
    """The first device in *length* bytes at *addr* whose registers have no model; None where all can be read."""
    at, end = addr, min(addr + length, _SPACE)
    while at < end:
        found = space.view.find(at)
        if found is None:
            at = _next_start(space, at, end)
            continue
        region = found.region
        if not is_memory(region) and not region.ram_device and region.ops.read is None and not _unassigned(region):
            return region
        at = found.start + found.size
    return None


def _unassigned(region: MemoryRegion) -> bool:
    """Whether *region* is the root of ports, which answers as unassigned ports do."""
    return region.container is None and region.name == "io"


def _next_start(space: AddressSpace, at: int, end: int) -> int:
    return min((r.start for r in space.view.ranges if r.start > at), default=end)


def physical(space: AddressSpace, addr: int, length: int) -> bytes | None:
    """*length* bytes from *addr*; None where not all of them are there.

    :raises NoAnswer: a device without a model would have to answer.
    """
    silent = unanswering(space, addr, length)
    if silent is not None:
        raise NoAnswer(f"qshim does not model the registers of '{silent.name}', which answers at {addr:#x}")
    data, result = read(space, addr, length)
    return data if result is MemTxResult.OK else None


def stretch(space: AddressSpace, addr: int, length: int) -> bytes:
    """The bytes from *addr* that are memory of one range, *length* at most; none where there is no memory."""
    found = space.view.find(addr) if addr < _SPACE else None
    if found is None or not is_memory(found.region):
        return b""
    data, result = read(space, addr, min(length, found.start + found.size - addr))
    return data if result is MemTxResult.OK else b""


def find_ram(vm: Vm, addr: int) -> Found:
    """The RAM or ROM at guest physical *addr*.

    :raises CommandError: nothing is mapped there, or something else is.
    """
    space = system(vm)
    addr %= _SPACE
    found = space.view.find(addr) if space is not None else None
    if found is None:
        raise CommandError(f"No memory is mapped at address {addr:#x}")
    region = found.region
    if not (region.ram or (region.rom_device and region.romd_mode)) or region.ram_block is None:
        raise CommandError(f"Memory at address {addr:#x} is not RAM")
    return Found(region, addr - found.start + found.offset, found.start + found.size - addr)


def chunks(space: AddressSpace | None, addr: int, size: int) -> Iterator[tuple[int, bytes | None]]:
    """*size* bytes from guest physical *addr*, in order: (length, bytes), bytes None where all are zero.

    What is no memory counts as zero.
    """
    at, end = addr, min(addr + size, _SPACE)
    if space is not None:
        for r in space.view.ranges:
            if r.start + r.size <= at:
                continue
            if r.start >= end:
                break
            if r.start > at:
                yield r.start - at, None
                at = r.start
            stop = min(r.start + r.size, end)
            yield from _range(r, at - r.start + r.offset, stop - at)
            at = stop
    if at < addr + size:
        yield addr + size - at, None


def _range(r: FlatRange, offset: int, length: int) -> Iterator[tuple[int, bytes | None]]:
    block = r.region.ram_block
    if block is None or not is_memory(r.region) or not (block.is_mapped or block.source is not None):
        yield length, None
        return
    inside = max(min(length, block.used_length - offset), 0)
    for at in range(0, inside, _CHUNK):
        piece = min(_CHUNK, inside - at)
        data = block.read(offset + at, piece)
        yield piece, data if any(data) else None
    if inside < length:
        yield length - inside, None


def create(vm: Vm, path: str, complaint: str = "Could not open", mode: int = 0o666) -> BinaryIO:
    """A new, empty file for the guest's bytes.

    :raises CommandError: it may not be written, or the host refuses.
    """
    reason = vm.may_write(path)
    if reason is not None:
        raise CommandError(f"{complaint} '{path}': {reason}")
    assert vm.files is not None
    try:
        return vm.files.create(path, mode)
    except OSError as error:
        raise CommandError(f"{complaint} '{path}': {error.strerror}") from error
    except ValueError as error:
        # a NUL in the name
        raise CommandError(f"{complaint} '{path}': {error}") from error


def store(file: BinaryIO, data: Iterator[tuple[int, bytes | None]]) -> None:
    """Write the chunks and close the file; zeros become holes, so that they cost nothing.

    :raises CommandError: the host refuses.
    """
    try:
        with file:
            seekable = file.seekable()
            length = written = file.tell() if seekable else 0
            for count, piece in data:
                length += count
                if piece is None and seekable:
                    file.seek(count, 1)
                elif piece is None:
                    for at in range(0, min(count, _MOST_ZEROS), _CHUNK):
                        file.write(bytes(min(_CHUNK, count - at)))
                    if count > _MOST_ZEROS:
                        raise OverflowError
                    written = length
                else:
                    file.write(piece)
                    written = length
            if written != length:
                # what was written last is a hole; a device has no length, but may have something to say
                try:
                    file.truncate(length)
                except OSError:
                    file.seek(-1, 1)
                    file.write(b"\0")
    except (OSError, OverflowError, ValueError) as error:
        raise CommandError("An IO error has occurred") from error


def pmemsave(vm: Vm, addr: int, size: int, path: str) -> None:
    """Save *size* bytes from guest physical *addr*; what is no memory is saved as zeros (monitor.md 4.3).

    :raises CommandError: the file cannot be written.
    """
    store(create(vm, path), chunks(system(vm), addr % _SPACE, size))


def memsave(vm: Vm, addr: int, size: int, path: str, cpu: int) -> None:
    """Save *size* bytes from virtual address *addr* of CPU *cpu*, up to the first one that is not there.

    :raises CommandError: no such CPU, an unmapped address, or the file cannot be written.
    """
    if not 0 <= cpu < vm.cpus:
        raise CommandError("Parameter 'cpu-index' expects a CPU number")
    if not virtual_is_physical(vm):
        raise CommandError("qshim holds no CPU state, so it cannot translate virtual addresses; use pmemsave")
    addr %= _SPACE
    space = system(vm, cpu)
    place = reached(vm, addr)
    there = _reach(space, place, size)
    store(create(vm, path), chunks(space, place, there))
    if there < size:
        raise CommandError(f"Invalid addr {addr:#018x}/size {size} specified")


def _reach(space: AddressSpace | None, addr: int, size: int) -> int:
    """How many of *size* bytes from *addr* memsave stores: whole KiB before the first that is unmapped."""
    at, end = addr, addr + size
    while at < end:
        found = space.view.find(at) if space is not None and at < _SPACE else None
        if found is None:
            return (at - addr) // 1024 * 1024
        at = found.start + found.size
    return size
