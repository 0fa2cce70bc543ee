"""RAMBlock and RAMList: guest RAM as the host holds it (spec/memory.md 5.1 to 5.4).

Every piece of RAM is a block at an offset of one flat space, ram_addr_t. The list keeps the largest
blocks first. A guest address finds its bytes through the region that is visible there, the region's
block, and the block's host address; `RAMList.block_of_host` is the way back.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable
from typing import TYPE_CHECKING

from qshim.errors import MemoryModelError
from qshim.memory.dirty import DirtyBitmaps
from qshim.memory.hostmem import HostMapping, HostSource, map_host
from qshim.units import SPACE, U64_MAX, hex_plain

if TYPE_CHECKING:
    from qshim.memory.region import MemoryRegion

__all__ = ["IDSTR_MAX", "RAMBlock", "RAMList", "SizeMismatchError"]

IDSTR_MAX = 255
"""A block's name is cut to so many bytes: QEMU keeps it in 256 with a NUL (memory.md 5.4)."""

_HOST_LONG_BITS = 64


class SizeMismatchError(MemoryModelError):
    """A block cannot take the length it is asked to (memory.md 5.1): the text is QEMU's own."""


class RAMBlock:
    """A stretch of guest RAM.

    *offset* is its ram_addr_t; *used_length* and *max_length* are in bytes, multiples of the page.
    *idstr* is its name in migration streams, empty while nobody has registered it. `host` is mapped
    when it is first needed.
    """

    __slots__ = (
        "_mapping", "idstr", "max_length", "migratable", "offset", "page_size", "preallocated", "region",
        "resizeable", "resized", "source", "used_length",
    )  # fmt: skip

    def __init__(
        self,
        offset: int,
        used_length: int,
        max_length: int,
        *,
        page_size: int = 4096,
        idstr: str = "",
        resizeable: bool = False,
        preallocated: bool = False,
        source: HostSource | None = None,
        region: MemoryRegion | None = None,
        resized: Callable[[RAMBlock, int], None] | None = None,
    ) -> None:
        self.offset = offset
        self.used_length = used_length
        self.max_length = max_length
        self.page_size = page_size
        self.idstr = idstr
        self.migratable = bool(idstr)
        self.resizeable = resizeable
        self.preallocated = preallocated
        self.source = HostSource() if source is None else source
        self.region = region
        self.resized = resized
        """Called with the block and its new used_length in bytes after a resize."""
        self._mapping: HostMapping | None = None

    def __repr__(self) -> str:
        return f"<RAMBlock {self.idstr!r} {self.offset:#x}+{self.used_length:#x}/{self.max_length:#x}>"

    @property
    def end(self) -> int:
        """First ram_addr_t behind the block's greatest extent."""
        return self.offset + self.max_length

    @property
    def mapping(self) -> HostMapping:
        """The host memory, mapped now if it was not.

        :raises MemoryModelError: the host refuses to map it.
        """
        if self._mapping is None:
            self._mapping = map_host(self.max_length, self.source, self.idstr or "(unnamed)")
        return self._mapping

    @property
    def is_mapped(self) -> bool:
        """Whether host memory was needed so far."""
        return self._mapping is not None

    @property
    def host(self) -> int:
        """Host virtual address of the block's first byte."""
        return self.mapping.address

    def read(self, offset: int, length: int) -> bytes:
        """*length* bytes from *offset* on.

        :raises MemoryModelError: not all of them lie in the used part.
        """
        self._check(offset, length)
        return self.mapping.read(offset, length)

    def write(self, offset: int, data: bytes) -> None:
        """Store *data* at *offset*; dirty bitmaps are the caller's business.

        :raises MemoryModelError: not all of it lies in the used part.
        """
        self._check(offset, len(data))
        self.mapping.write(offset, data)

    def discard(self, offset: int, length: int) -> None:
        """Drop the contents of a stretch: anonymous memory reads as zero afterwards."""
        self._check(offset, length)
        if self._mapping is not None:
            self._mapping.discard(offset, length)

    def _check(self, offset: int, length: int) -> None:
        if offset < 0 or length < 0 or offset + length > self.used_length:
            raise MemoryModelError(
                f"{length:#x} bytes at {offset:#x} do not lie in RAM block '{self.idstr}', "
                f"of which {self.used_length:#x} bytes are in use"
            )

    def unmap(self) -> None:
        """Give the host memory back."""
        if self._mapping is not None:
            self._mapping.close()
            self._mapping = None


class RAMList:
    """All blocks of a machine, the largest max_length first, among equals the oldest first."""

    def __init__(self, page_bits: int, host_page: int) -> None:
        self.page_bits = page_bits
        self.page = max(1 << page_bits, host_page)
        """Lengths of blocks are multiples of this: the larger of the target's and the host's page."""
        self.host_page = host_page
        self.version = 0
        """Counts additions, removals and resizes."""
        self.dirty = DirtyBitmaps(page_bits)
        self._blocks: list[RAMBlock] = []
        self._by_offset: list[RAMBlock] = []

    @property
    def blocks(self) -> tuple[RAMBlock, ...]:
        """The blocks in list order."""
        return tuple(self._blocks)

    def rounded(self, length: int) -> int:
        """*length* rounded up to whole pages."""
        return -(-length // self.page) * self.page

    def find_offset(self, size: int) -> int:
        """Where a new block of max_length *size* goes: the smallest gap that holds it (memory.md 5.2).

        Gaps begin behind a block, at the next multiple of 64 target pages; the first found of equal
        gaps wins, in list order. What lies below the lowest block is never used.

        :raises MemoryModelError: *size* is 0, or no gap is large enough.
        """
        if size <= 0:
            raise MemoryModelError("a RAM block cannot have size 0: ask for at least one byte")
        if not self._blocks:
            return 0
        unit = _HOST_LONG_BITS << self.page_bits
        best, best_gap = None, U64_MAX
        for block in self._blocks:
            candidate = -(-block.end // unit) * unit
            at = bisect_left(self._by_offset, candidate, key=_offset)
            following = self._by_offset[at].offset if at < len(self._by_offset) else U64_MAX
            gap = following - candidate
            if size <= gap < best_gap:
                best, best_gap = candidate, gap
        if best is None:
            raise MemoryModelError(f"Failed to find gap of requested size: {size}")
        return best

    def allocate(
        self,
        size: int,
        max_size: int | None = None,
        *,
        page_size: int | None = None,
        resizeable: bool = False,
        preallocated: bool = False,
        source: HostSource | None = None,
        region: MemoryRegion | None = None,
        resized: Callable[[RAMBlock, int], None] | None = None,
    ) -> RAMBlock:
        """A new block of at least *size* bytes (used) and *max_size* (None: the same), both rounded up.

        :raises MemoryModelError: size 0, size above max_size, or no room in ram_addr_t.
        """
        used = self.rounded(size)
        greatest = used if max_size is None else self.rounded(max_size)
        if used > greatest:
            raise MemoryModelError(f"a RAM block of {hex_plain(size)} bytes cannot have the maximum {max_size:#x}")
        block = RAMBlock(
            self.find_offset(greatest),
            used,
            greatest,
            page_size=self.host_page if page_size is None else page_size,
            resizeable=resizeable,
            preallocated=preallocated,
            source=source,
            region=region,
            resized=resized,
        )
        self._insert(block)
        return block

    def adopt(self, block: RAMBlock) -> RAMBlock:
        """Take in a block whose offset is known already, as from a recording.

        :raises MemoryModelError: it overlaps another block, has no room, or its name is taken.
        """
        if block.used_length > block.max_length or block.max_length <= 0:
            raise MemoryModelError(
                f"RAM block '{block.idstr}' uses {block.used_length:#x} of {block.max_length:#x} bytes"
            )
        if block.offset < 0 or block.end > SPACE:
            raise MemoryModelError(f"RAM block '{block.idstr}' at {block.offset:#x} leaves ram_addr_t")
        at = bisect_left(self._by_offset, block.offset, key=_offset)
        for other in self._by_offset[max(at - 1, 0) : at + 1]:
            if other.offset < block.end and block.offset < other.end:
                raise MemoryModelError(
                    f"RAM block '{block.idstr}' at {block.offset:#x}+{block.max_length:#x} overlaps "
                    f"'{other.idstr}' at {other.offset:#x}+{other.max_length:#x}"
                )
        if block.idstr:
            self._check_free(block.idstr)
        self._insert(block)
        return block

    def _insert(self, block: RAMBlock) -> None:
        at = bisect_left(self._blocks, -block.max_length + 1, key=_minus_length)
        self._blocks.insert(at, block)
        insort(self._by_offset, block, key=_offset)
        self.version += 1
        self.dirty.set_range(block.offset, block.used_length)

    def free(self, block: RAMBlock) -> None:
        """Remove *block* and give its host memory back.

        :raises MemoryModelError: it is not in the list.
        """
        if block not in self._blocks:
            raise MemoryModelError(f"RAM block '{block.idstr}' at {block.offset:#x} is not in the list")
        self._blocks.remove(block)
        self._by_offset.remove(block)
        self.version += 1
        block.unmap()

    # --- names (memory.md 5.4) ---

    def register(self, block: RAMBlock, name: str, device_path: str | None = None) -> None:
        """Name *block* `DEVICE_PATH/NAME`, or NAME; from now on it migrates.

        :raises MemoryModelError: another block has that name, or this one has one.
        """
        idstr = name if device_path is None else f"{device_path}/{name}"
        idstr = idstr.encode()[:IDSTR_MAX].decode(errors="ignore")
        if block.idstr:
            raise MemoryModelError(f"RAM block '{block.idstr}' cannot be named '{idstr}': it has its name already")
        self._check_free(idstr)
        block.idstr = idstr
        block.migratable = True
        self.version += 1

    def unregister(self, block: RAMBlock) -> None:
        """Take the name away again."""
        block.idstr = ""
        block.migratable = False
        self.version += 1

    def _check_free(self, idstr: str) -> None:
        if any(other.idstr == idstr for other in self._blocks):
            raise MemoryModelError(f'RAMBlock "{idstr}" already registered, abort!')

    def by_name(self, idstr: str) -> RAMBlock | None:
        """The block of that name, or None."""
        return next((block for block in self._blocks if block.idstr == idstr), None)

    # --- lengths (memory.md 5.1) ---

    def resize(self, block: RAMBlock, size: int) -> None:
        """Change used_length to *size* bytes rounded up, and the region's size to *size* exactly.

        :raises SizeMismatchError: the block is not resizeable, or *size* exceeds its maximum.
        """
        used = self.rounded(size)
        region = block.region
        if used == block.used_length:
            if region is not None and region.size != size:
                region.set_size(size)
                if block.resized is not None:
                    block.resized(block, used)
            return
        if not block.resizeable:
            raise SizeMismatchError(
                f"Size mismatch: {block.idstr}: {hex_plain(used)} != {hex_plain(block.used_length)}: Invalid argument"
            )
        if used > block.max_length:
            raise SizeMismatchError(
                f"Size too large: {block.idstr}: {hex_plain(used)} > {hex_plain(block.max_length)}: Invalid argument"
            )
        self.dirty.clear_range(block.offset, block.used_length)
        block.used_length = used
        self.dirty.set_range(block.offset, used)
        self.version += 1
        if region is not None:
            region.set_size(size)
        if block.resized is not None:
            block.resized(block, used)

    # --- ways back ---

    def block_at(self, ram_addr: int) -> RAMBlock | None:
        """The block that holds *ram_addr*, or None."""
        at = bisect_left(self._by_offset, ram_addr + 1, key=_offset) - 1
        if at < 0:
            return None
        block = self._by_offset[at]
        return block if ram_addr < block.end else None

    def block_of_host(self, host: int) -> tuple[RAMBlock, int] | None:
        """The block whose host memory holds address *host*, and the offset in it; None if there is none."""
        for block in self._blocks:
            if block.is_mapped and block.host <= host < block.host + block.max_length:
                return block, host - block.host
        return None


def _offset(block: RAMBlock) -> int:
    return block.offset


def _minus_length(block: RAMBlock) -> int:
    return -block.max_length
