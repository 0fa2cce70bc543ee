"""dump-guest-memory in makedumpfile's compressed format (`kdump-zlib`, `kdump-raw-zlib`).

Layout of version 6 of that format as QEMU 7.2 to 11.1 write it: a header block, a sub-header with the notes,
two equal bitmaps of the pages that are there, a descriptor for each page, and the pages, of which all that are
zero share one. The flattened form precedes every piece by its place, so that a pipe can take it.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

if TYPE_CHECKING:
    from qshim.monitor.dump import Stretch

__all__ = ["Flat", "Plan", "Raw", "pieces", "plan"]

_BLOCK = 4096
_CACHE = 4 * _BLOCK
"""Bytes of descriptors, and of pages, that QEMU gathers before it writes them."""
_BITS = _BLOCK * 8
_ZLIB, _LEVEL = 1, 1
_NAME = 65
_DESCRIPTOR = "<qIIQ"
_MAGIC = b"makedumpfile"
_HEAD, _END = 4096, -1


class Plan(NamedTuple):
    """Where everything goes, and what stands in front of the bitmaps."""

    wide: bool
    """Addresses of 64 bits."""
    head: tuple[tuple[int, bytes], ...]
    """(offset, bytes) of header, sub-header and notes."""
    bitmaps: int
    """Offset of the first bitmap."""
    bitmap_size: int
    """Bytes of one."""
    pages: int
    """How many are dumped."""


def plan(stretches: Sequence[Stretch], notes: bytes, cpus: int, machine: bytes, *, wide: bool) -> Plan:
    """The plan for the memory of *stretches*; *machine* is what utsname calls it."""
    most = (stretches[-1].start + stretches[-1].size) // _BLOCK
    names = b"".join(name.ljust(_NAME, b"\0") for name in (b"", b"", b"", b"", machine, b""))
    sub = struct.calcsize("<QII10QQ") if wide else struct.calcsize("<5IQIQIQI3Q")
    sub_blocks = -(-(sub + len(notes)) // _BLOCK)
    bitmap_blocks = -(-most // _BITS)
    header = b"KDUMP   " + struct.pack("<I", 6) + names + bytes(22 if wide else 10)
    header += struct.pack("<10I", _ZLIB, _BLOCK, sub_blocks, 2 * bitmap_blocks, most & 0xFFFFFFFF, 0, 0, 0, 0, cpus)
    at = _BLOCK + sub
    if wide:
        inner = struct.pack("<QII10QQ", 0, 1, 0, 0, 0, 0, 0, at, len(notes), 0, 0, 0, 0, most)
    else:
        inner = struct.pack("<5IQIQIQI3Q", 0, 1, 0, 0, 0, 0, 0, at, len(notes), 0, 0, 0, 0, most)
    head = ((0, header), (_BLOCK, inner), (at, notes))
    pages = sum(stretch.size // _BLOCK for stretch in stretches)
    return Plan(wide, head, _BLOCK * (1 + sub_blocks), bitmap_blocks * _BLOCK, pages)


def pieces(
    plan: Plan, stretches: Sequence[Stretch], memory: Iterable[tuple[int, bytes | None]]
) -> Iterator[tuple[int, bytes, int]]:
    """(offset, bytes, bytes of guest memory that are done with them) in QEMU's order.

    *memory*: the bytes of *stretches* in order, as (count, data); None for zeros. Counts are whole pages.
    """
    for offset, front in plan.head:
        yield offset, front, 0
    for number, buffer in enumerate(_bitmap(stretches, plan.bitmap_size)):
        at = plan.bitmaps + number * _BLOCK
        yield at, buffer, 0
        yield at + plan.bitmap_size, buffer, 0
    first = plan.bitmaps + 2 * plan.bitmap_size
    size = struct.calcsize(_DESCRIPTOR)
    descriptors = _Cache(first)
    data_at = first + plan.pages * size
    contents = _Cache(data_at)
    contents.add(bytes(_BLOCK))
    nothing = struct.pack(_DESCRIPTOR, data_at, _BLOCK, 0, 0)
    place = data_at + _BLOCK
    for count, data in memory:
        done = count
        for at in range(0, count, _BLOCK):
            page = None if data is None else data[at : at + _BLOCK]
            if page is None or not page.strip(b"\0"):
                described = nothing
            else:
                packed = zlib.compress(page, _LEVEL)
                kept, flags = (packed, _ZLIB) if len(packed) < _BLOCK else (page, 0)
                described = struct.pack(_DESCRIPTOR, place, len(kept), flags, 0)
                place += len(kept)
                for piece in contents.add(kept):
                    yield *piece, 0
            for piece in descriptors.add(described):
                yield *piece, 0
        yield 0, b"", done
    for cache in (descriptors, contents):
        for piece in cache.flush():
            yield *piece, 0


def _bitmap(stretches: Sequence[Stretch], size: int) -> Iterator[bytes]:
    """Blocks of the bitmap: bit n of byte m is page 8m + n."""
    for start in range(0, size * 8, _BITS):
        bits = 0
        for stretch in stretches:
            low = max(stretch.start // _BLOCK, start)
            high = min((stretch.start + stretch.size) // _BLOCK, start + _BITS)
            if low < high:
                bits |= ((1 << high - low) - 1) << low - start
        yield bits.to_bytes(_BLOCK, "little")


class _Cache:
    """Bytes for one place in the file, written in larger pieces."""

    def __init__(self, at: int) -> None:
        self._at = at
        self._buffer = bytearray()

    def add(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Keep *data*; what has to be written first."""
        full = list(self.flush()) if len(self._buffer) + len(data) > _CACHE else []
        self._buffer += data
        return iter(full)

    def flush(self) -> Iterator[tuple[int, bytes]]:
        """Everything that is kept."""
        if self._buffer:
            yield self._at, bytes(self._buffer)
            self._at += len(self._buffer)
            self._buffer.clear()


class Flat:
    """Writes pieces as they come, each behind its place."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._file.write((_MAGIC.ljust(16, b"\0") + struct.pack(">qq", 1, 1)).ljust(_HEAD, b"\0"))

    def write(self, offset: int, data: bytes) -> None:
        """Write *data*, which belongs at *offset*."""
        self._file.write(struct.pack(">qq", offset, len(data)))
        self._file.write(data)

    def end(self) -> None:
        """Nothing more comes."""
        self._file.write(struct.pack(">qq", _END, _END))


class Raw:
    """Writes pieces where they belong."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, offset: int, data: bytes) -> None:
        """Write *data* at *offset*."""
        self._file.seek(offset)
        self._file.write(data)

    def end(self) -> None:
        """Nothing more comes."""
