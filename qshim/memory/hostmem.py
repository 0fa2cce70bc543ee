"""Host memory behind RAM blocks: the one place that maps memory (DESIGN.md decision 6).

Anonymous memory is private and not reserved, so that a guest of a terabyte costs nothing before it
is used. Addresses are aligned as QEMU aligns them (spec/memory.md 5.1).
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass

from qshim.errors import MemoryModelError

__all__ = ["HUGE_ALIGN", "HostMapping", "HostSource", "map_host", "physical_address"]

HUGE_ALIGN = 2 << 20
"""Alignment of anonymous memory on x86, Arm and ppc64 hosts."""

_MAP_NORESERVE = 0x4000  # Linux; Python 3.11 has no name for it


@dataclass(frozen=True, slots=True)
class HostSource:
    """Where a block's memory comes from: *fd* None is anonymous memory.

    *offset* is the place in the file, *readonly* maps it so, *shared* lets writes reach the file,
    *align* is the least alignment of the host address in bytes (0: the page size).
    """

    fd: int | None = None
    offset: int = 0
    shared: bool = False
    readonly: bool = False
    align: int = 0


class HostMapping:
    """*length* bytes of mapped memory at host address `address`."""

    __slots__ = ("_map", "_start", "address", "length")

    def __init__(self, mapping: mmap.mmap, start: int, length: int, address: int) -> None:
        self._map = mapping
        self._start = start
        self.address = address
        self.length = length

    def read(self, offset: int, length: int) -> bytes:
        """*length* bytes at *offset*; the caller has checked the bounds."""
        begin = self._start + offset
        return self._map[begin : begin + length]

    def write(self, offset: int, data: bytes) -> None:
        """Store *data* at *offset*; the caller has checked the bounds."""
        begin = self._start + offset
        self._map[begin : begin + len(data)] = data

    def discard(self, offset: int, length: int) -> None:
        """Give pages back to the host; they read as zero (or as the file) again."""
        if length:
            self._map.madvise(mmap.MADV_DONTNEED, self._start + offset, length)

    def close(self) -> None:
        """Unmap."""
        self._map.close()


def map_host(length: int, source: HostSource, what: str) -> HostMapping:
    """Map *length* bytes for the block that is called *what* in messages.

    :raises MemoryModelError: the host refuses.
    """
    align = max(source.align, HUGE_ALIGN if source.fd is None else mmap.PAGESIZE)
    try:
        if source.fd is None:
            mapping = mmap.mmap(
                -1,
                length + align,
                flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE,
                prot=mmap.PROT_READ | mmap.PROT_WRITE,
            )
        else:
            # a private mapping of a file may be written even when the file may not
            writable = not (source.readonly and source.shared)
            mapping = mmap.mmap(
                source.fd,
                length,
                flags=(mmap.MAP_SHARED if source.shared else mmap.MAP_PRIVATE) | _MAP_NORESERVE,
                prot=mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0),
                offset=source.offset,
            )
    except (OSError, ValueError, OverflowError) as error:
        raise MemoryModelError(f"cannot map {length:#x} bytes of host memory for '{what}': {error}") from error
    base = _address_of(mapping)
    start = -base % align if source.fd is None else 0
    return HostMapping(mapping, start, length, base + start)


def _address_of(mapping: mmap.mmap) -> int:
    """Where *mapping* lies in this process; it stays there until it is closed.

    Through the buffer interface of C, because `ctypes` itself does not look into read-only memory.
    """
    import ctypes  # not at start-up: most sessions never need a host address

    class PyBuffer(ctypes.Structure):
        _fields_ = (
            ("buf", ctypes.c_void_p),
            ("obj", ctypes.py_object),
            ("rest", ctypes.c_byte * 128),  # lengths, format, strides: not looked at
        )

    view = PyBuffer()
    ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(mapping), ctypes.byref(view), 0)
    address = int(view.buf)
    ctypes.pythonapi.PyBuffer_Release(ctypes.byref(view))
    return address


def physical_address(host: int) -> int | None:
    """The host physical address of *host* in this process; None where its page is not in memory.

    Without privileges the kernel tells page 0 for every page.

    :raises OSError: the kernel does not show its tables; the text is QEMU's own.
    """
    try:
        with open("/proc/self/pagemap", "rb", buffering=0) as pagemap:
            pagemap.seek(host // mmap.PAGESIZE * 8)
            entry = pagemap.read(8)
    except OSError as error:
        raise OSError("Cannot open /proc/self/pagemap") from error
    if len(entry) != 8:
        raise OSError("Cannot read pagemap")
    value = int.from_bytes(entry, "little")
    if not value >> 63:
        return None
    return (value & 0x007F_FFFF_FFFF_FFFF) * mmap.PAGESIZE | host % mmap.PAGESIZE
