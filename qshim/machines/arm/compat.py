"""What differs between versions of the virt *type*, whatever binary runs it (spec/virt-boards.md 1)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from qshim.machines.compat import Common, common

__all__ = ["Compat", "compat_of"]

_NAME = re.compile(r"virt-(\d+)\.(\d+)")


@dataclass(frozen=True, slots=True)
class Compat(Common):
    """The contents of a versioned virt board."""

    unmapped_accesses: bool = True
    """Windows of the PCI host take what no device takes (since 6.1)."""
    high_ecam: bool = True
    """Configuration space is above 4 GiB (since 3.0)."""
    most_cpus: int = 512
    """255 until 2.12."""
    ged: bool = True
    """There may be a generic event device (since 4.2)."""
    cpu_tables: bool = True
    """ACPI describes the topology of CPUs (since 6.2)."""
    ras_commands: int = 10
    """Commands that link the ACPI tables of ras=on: more since 10.2."""
    nested_smmu: bool = True
    """The SMMU says which stages it has (since 9.2)."""
    secure_gpio: bool = True
    """secure=on brings a GPIO controller and power switches (since 6.0)."""
    emulated_its: bool = True
    """TCG has an ITS (since 6.2)."""
    its: bool = True
    """Property its is on (since 2.8)."""
    compact_highmem: bool = True
    """What is off takes no room in the high memory map (since 7.2)."""


def compat_of(name: str) -> Compat:
    """What machine type *name* contains."""
    match = _NAME.fullmatch(name)
    if match is None:
        return Compat()
    at = (int(match[1]), int(match[2]))
    shared = {**common(at), "node_with_slots": at >= (4, 2)}
    return Compat(
        **shared,
        page_bits=12 if at >= (2, 8) else 10,
        unmapped_accesses=at >= (6, 1),
        high_ecam=at >= (3, 0),
        most_cpus=512 if at >= (3, 0) else 255,
        ged=at >= (4, 2),
        cpu_tables=at >= (6, 2),
        ras_commands=10 if at >= (10, 2) else 7,
        nested_smmu=at >= (9, 2),
        secure_gpio=at >= (6, 0),
        emulated_its=at >= (6, 2),
        its=at >= (2, 8),
        compact_highmem=at >= (7, 2),
    )
