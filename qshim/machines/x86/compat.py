"""What differs between versions of one PC *type*, whatever binary runs it (spec/x86-boards.md 1 to 3)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from qshim.machines.compat import Common, common

__all__ = ["Compat", "compat_of"]

_NAME = re.compile(r"pc-(?:i440fx|q35)-(\d+)\.(\d+)(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class Compat(Common):
    """The contents of a versioned PC."""

    gigabyte_align: bool = True
    """RAM below 4 GiB is whole GiB (since 1.8)."""
    reserved_memory: bool = True
    """There is room for memory devices (since 2.1)."""
    slot_alignment: bool = True
    """Each slot reserves a GiB (since 2.2)."""
    small_tables: bool = False
    """ACPI tables are rounded up to pages (until 2.0; seen in 7.2)."""
    broken_reserved_end: bool = False
    """The 64-bit hole begins at the base of device memory (until 2.4)."""
    fw_cfg_dma: bool = True
    """fw_cfg has a DMA port (since 2.5)."""
    acpi_cpu_legacy: bool = False
    """CPU hotplug has the legacy registers alone (until 2.6)."""
    amd_hole: bool = True
    """RAM moves above 1 TiB around the HyperTransport hole (since 7.1)."""
    isa_bios_alias: bool = True
    """With pflash, isa-bios is an alias (since 9.1, in binaries that know it)."""
    small_bios: bool = False
    """bios.bin of 128 KiB (until 1.7; seen in 7.2)."""
    cirrus_default: bool = False
    """The default VGA is cirrus (until 2.1)."""
    e1000_default: bool = False
    """The NIC of q35 is e1000 (until 2.11)."""
    extended_tseg: int | None = None
    """Machine types until 2.9 have no extended TSEG."""
    ignored_phys_bits_32: bool = False
    """A CPU without long mode is never too small (until 8.1)."""
    q35_cpus: int | None = None
    """Most CPUs of a q35, where the type says so."""


def compat_of(name: str) -> Compat:
    """What machine type *name* contains."""
    match = _NAME.fullmatch(name)
    if match is None:
        return Compat()
    at = (int(match[1]), int(match[2]))
    return Compat(
        **common(at),
        gigabyte_align=at >= (2, 0) or at == (1, 8),
        reserved_memory=at >= (2, 1),
        slot_alignment=at >= (2, 2),
        small_tables=at <= (2, 0),
        broken_reserved_end=at <= (2, 4),
        fw_cfg_dma=at >= (2, 5),
        acpi_cpu_legacy=at <= (2, 6),
        amd_hole=at >= (7, 1),
        isa_bios_alias=at >= (9, 1),
        small_bios=at <= (1, 7),
        cirrus_default=at <= (2, 1),
        e1000_default=at <= (2, 11),
        extended_tseg=0 if at <= (2, 9) else None,
        ignored_phys_bits_32=at <= (8, 1),
        q35_cpus=255 if at <= (2, 7) else 288 if at <= (8, 0) else 1024 if at <= (8, 2) else None,
    )
