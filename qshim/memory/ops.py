"""What a device says about accesses to its registers, and the results of accesses (spec/memory.md 7)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, IntFlag

__all__ = [
    "ATTRS_UNSPECIFIED", "IO_PORT_OPS", "RAM_DEVICE_OPS", "STRICT_IO_PORT_OPS", "UNASSIGNED_OPS", "AccessSizes",
    "Endian", "MemTxAttrs",
    "MemTxResult", "MemoryRegionOps", "ReadCallback", "WriteCallback",
]  # fmt: skip


class MemTxResult(IntFlag):
    """Outcome of an access; the pieces of a larger one are OR-ed (memory.md 7.3)."""

    OK = 0
    ERROR = 1
    DECODE_ERROR = 2
    ACCESS_ERROR = 4


class Endian(Enum):
    """Byte order of a device's registers; NATIVE is the target's."""

    NATIVE = "native"
    LITTLE = "little"
    BIG = "big"


@dataclass(frozen=True, slots=True)
class MemTxAttrs:
    """Attributes of an access. *debug*: by a debugger; *memory*: only RAM and ROM may answer."""

    unspecified: bool = False
    secure: bool = False
    debug: bool = False
    memory: bool = False


ATTRS_UNSPECIFIED = MemTxAttrs(unspecified=True)

ReadCallback = Callable[[int, int, MemTxAttrs], int | tuple[int, MemTxResult]]
"""(offset in the region, size in bytes, attributes) -> value, or (value, result)."""

WriteCallback = Callable[[int, int, int, MemTxAttrs], MemTxResult | None]
"""(offset in the region, value, size in bytes, attributes) -> result; None is OK."""


@dataclass(frozen=True, slots=True)
class AccessSizes:
    """Sizes in bytes; 0 stands for the default (a minimum of 1; as a maximum see where it is used)."""

    min: int = 0
    max: int = 0
    unaligned: bool = False


@dataclass(frozen=True, slots=True)
class MemoryRegionOps:
    """Callbacks of a device and what they can take.

    *valid* is what the guest may do (a maximum of 0 allows every size), *impl* what the callbacks
    handle (a maximum of 0 means 4): other accesses are put together from those. *accepts* may
    refuse an access: (offset, size, is_write, attributes) -> bool.
    """

    read: ReadCallback | None = None
    write: WriteCallback | None = None
    endian: Endian = Endian.NATIVE
    valid: AccessSizes = AccessSizes()
    impl: AccessSizes = AccessSizes()
    accepts: Callable[[int, int, bool, MemTxAttrs], bool] | None = None

    def big(self, target_big: bool) -> bool:
        """Whether the registers are big-endian on a target of this byte order."""
        return target_big if self.endian is Endian.NATIVE else self.endian is Endian.BIG

    def swaps(self, target_big: bool) -> bool:
        """Whether device and target disagree about byte order."""
        return self.big(target_big) != target_big


def _reject(offset: int, size: int, is_write: bool, attrs: MemTxAttrs) -> bool:
    return False


UNASSIGNED_OPS = MemoryRegionOps(accepts=_reject)
"""Containers, reservations and unassigned memory: nothing is accepted, reads give 0 (memory.md 7.3)."""


def _all_ones(offset: int, size: int, attrs: MemTxAttrs) -> int:
    return (1 << (8 * size)) - 1


def _ignore(offset: int, value: int, size: int, attrs: MemTxAttrs) -> None:
    return None


IO_PORT_OPS = MemoryRegionOps(read=_all_ones, write=_ignore)
"""Unassigned I/O ports: read as all ones, writes are dropped, both succeed (memory.md 7.3)."""

STRICT_IO_PORT_OPS = MemoryRegionOps(read=_all_ones, write=_ignore, impl=AccessSizes(unaligned=True))
"""The same, but an access that is not aligned is rejected as a whole and reads as 0 (11.1)."""

RAM_DEVICE_OPS = MemoryRegionOps(
    endian=Endian.LITTLE,  # the host's order
    valid=AccessSizes(1, 8, unaligned=True),
    impl=AccessSizes(1, 8, unaligned=True),
)
"""Byte copies of 1 to 8 bytes; access.py does them on the block."""
