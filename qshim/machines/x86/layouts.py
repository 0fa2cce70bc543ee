"""Addresses of the PC boards in order, and the rules that split RAM below and above 4 GiB (spec/x86-boards.md 1)."""

from __future__ import annotations

from dataclasses import dataclass

from qshim.units import GIB, up

__all__ = ["Layout", "device_memory", "split"]

FOUR_GIB = 4 * GIB

# low memory
OPTION_ROMS, OPTION_ROMS_SIZE = 0xC0000, 0x20000
ISA_BIOS_END = 0x100000
# below 4 GiB
MICROVM_VIRTIO = 0xFEB00000
MICROVM_VIRTIO_STEP = 0x200
IOAPIC_SECOND = 0xFEC10000
AMD_HOLE = 0xFD00000000
"""First address of the HyperTransport hole, 12 GiB below 1 TiB (1.4)."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where RAM and what follows it lie, in bytes."""

    below: int
    above: int
    above_start: int = FOUR_GIB
    device_memory: tuple[int, int] | None = None
    """(base, size)"""
    hole64: int = FOUR_GIB
    """Start of the 64-bit PCI hole."""

    @property
    def above_end(self) -> int:
        """First address behind RAM above 4 GiB."""
        return self.above_start + self.above


def split(board: str, ram: int, limit: int | None, *, gigabyte_align: bool = True) -> tuple[int, int, list[str]]:
    """(below, above, warnings) for *ram* bytes; *limit* is max-ram-below-4g, None if it was not set (1.2)."""
    warnings: list[str] = []
    if board == "microvm":
        low = 0xC0000000
        return (low, ram - low, warnings) if ram > low else (ram, 0, warnings)
    if board == "q35":
        low = 0x80000000 if ram >= 0xB0000000 else 0xB0000000
        ceiling = FOUR_GIB if limit is None else limit
        if low > ceiling:
            low = ceiling
            if (ram - low) % (1 << 64) > low and low % GIB:
                warnings.append(
                    f"There is possibly poor performance as the ram size  (0x{ram:x}) is more then twice the size of "
                    f"max-ram-below-4g ({ceiling}) and max-ram-below-4g is not a multiple of 1G."
                )
    else:
        low = 0xE0000000 if limit is None else limit
        if ram >= low and gigabyte_align:
            low = min(low, 0xC0000000)
            if low % GIB:
                warnings.append(
                    f"Large machine and max_ram_below_4g ({low}) not a multiple of 1G; possible bad performance."
                )
    return (low, ram - low, warnings) if ram >= low else (ram, 0, warnings)


def device_memory(above_end: int, ram: int, max_memory: int, slots: int) -> tuple[int, int]:
    """(base, size) of the region for memory devices: each slot adds a GiB for alignment (1.3)."""
    return up(above_end, GIB), max_memory - ram + slots * GIB
