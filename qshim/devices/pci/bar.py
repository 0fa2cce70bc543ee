"""Base address registers: where a function's regions appear (spec/x86-boards.md 5.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from qshim.units import U64_MAX

if TYPE_CHECKING:
    from qshim.memory import MemoryRegion

__all__ = ["IO", "MEM", "MEM64", "PREFETCH", "ROM_SLOT", "Bar", "bar_offset"]

IO, MEM, MEM64, PREFETCH = 0x1, 0x0, 0x4, 0x8
"""Type bits of a BAR."""
ROM_SLOT = 6
ROM_ENABLE = 1


def bar_offset(index: int, *, bridge: bool) -> int:
    """Where BAR *index* is in configuration space; 6 is the ROM."""
    if index != ROM_SLOT:
        return 0x10 + 4 * index
    return 0x38 if bridge else 0x30


@dataclass(slots=True)
class Bar:
    """A region behind BAR *index*; *address* is where it is mapped, None while it is not."""

    index: int
    kind: int
    size: int
    region: MemoryRegion
    offset: int
    address: int | None = None

    @property
    def is_io(self) -> bool:
        """A range of ports."""
        return bool(self.kind & IO)

    @property
    def is_64(self) -> bool:
        """Two registers make up the address."""
        return not self.is_io and bool(self.kind & MEM64)

    @property
    def width(self) -> int:
        """Bytes of the register."""
        return 8 if self.is_64 else 4

    def wanted(self, config: bytearray, *, allow_0: bool) -> int | None:
        """The address that registers of configuration space ask for, None: it is to be unmapped.

        :param allow_0: the machine maps BARs at address 0, too.
        """
        command = config[4]
        value = int.from_bytes(config[self.offset : self.offset + self.width], "little")
        address = value & ~(self.size - 1)
        last = address + self.size - 1
        if self.is_io:
            last &= 0xFFFFFFFF
            if not command & 1 or last <= address or (address == 0 and not allow_0) or last >= 0xFFFFFFFF:
                return None
            return address
        last &= U64_MAX
        if not command & 2 or (self.index == ROM_SLOT and not value & ROM_ENABLE):
            return None
        if last <= address or (address == 0 and not allow_0) or last == U64_MAX:
            return None
        if not self.is_64 and last >= 0xFFFFFFFF:
            return None
        return address
