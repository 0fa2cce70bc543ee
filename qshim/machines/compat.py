"""What differs between versions of one machine *type*, whatever binary runs it: what all boards have in common.

Each family of boards adds its own (x86/compat.py, arm/compat.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from qshim.qom.types import target_types

__all__ = ["Common", "common", "compat_props"]

_VERSION = re.compile(r"(.+)-(\d+)\.(\d+)(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class Common:
    """The contents of a versioned machine type; the defaults are those of a type without versions."""

    prefer_sockets: bool = False
    """-smp N means N sockets (until 6.1)."""
    node_with_slots: bool = True
    """-m slots= makes a NUMA node where there is none (since 2.11)."""
    node_with_maxmem: bool = True
    """-m maxmem= makes one, too (since 5.1)."""
    numa_mem: bool = False
    """-numa node,mem= is taken (until 5.0)."""
    acpi_tables: bool = True
    """QEMU makes the ACPI tables (since 1.7; before, firmware did)."""
    rsdp_in_ram: bool = True
    """/rom@etc/acpi/rsdp is a block (since 2.3)."""
    page_bits: int = 12
    """Bits of an offset in the smallest page of the target."""


def common(at: tuple[int, int]) -> Mapping[str, bool]:
    """The fields of `Common` for version *at*."""
    return {
        "prefer_sockets": at <= (6, 1), "node_with_slots": at >= (2, 11), "node_with_maxmem": at >= (5, 1),
        "numa_mem": at <= (5, 0), "acpi_tables": at >= (1, 7), "rsdp_in_ram": at >= (2, 3),
    }  # fmt: skip


@cache
def compat_props(label: str, target: str, name: str) -> Sequence[Mapping[str, Any]]:
    """Properties that machine type *name* of *target* sets in the QEMU of *label*: later ones count.

    7.2 does not tell them. There they are what 10.0 sets for that type and not for its type of 7.2,
    the oldest of 10.0 standing for those that it has no more.
    """
    types = target_types(label, target)
    if types is None:
        return ()
    if types.compat_props:
        return types.compat_props.get(name, ())
    newer = target_types("10.0", target)
    match = _VERSION.fullmatch(name)
    if newer is None or match is None or (int(match[2]), int(match[3])) >= (7, 2):
        return ()
    family = match[1]
    told = newer.compat_props.get(name) or newer.compat_props.get(f"{family}-2.4", [])
    own = newer.compat_props.get(f"{family}-{label}", [])
    return [row for row in told if row not in own]
