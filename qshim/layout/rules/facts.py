"""What rules need to know of a snapshot: its main RAM in guest space, its regions with their ancestors."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from qshim.layout.snapshot import Snapshot
from qshim.rows import FlatViewRow, RangeRow, RegionRow

__all__ = ["FOUR_GIB", "MAPPED", "Placed", "drawn", "hole_below_4g", "main_ram", "ram_of_devices", "view_of"]

FOUR_GIB = 1 << 32
MAPPED = frozenset(("ram", "rom", "romd", "ramd"))
"""Types of ranges for which an accelerator takes a memory slot."""
_PCI = re.compile(r"[0-9a-f]{4}:")


class Placed(NamedTuple):
    """A region as it is drawn, with what is above it."""

    row: RegionRow
    enabled: bool
    """It and everything above it."""
    children: int
    siblings: tuple[RegionRow, ...]
    """Those of the same container that are drawn before it."""


def view_of(snapshot: Snapshot, space: str = "memory") -> FlatViewRow | None:
    """The flat view of the address space *space*."""
    return next((v for v in snapshot.layout.flat.views if any(s.name == space for s in v.spaces)), None)


def ram_of_devices(snapshot: Snapshot) -> set[str]:
    """Names of the regions that belong to memory devices."""
    return {str(device["memdev"]).rpartition("/")[2] for device in snapshot.devices if device.get("memdev")}


def main_ram(snapshot: Snapshot) -> tuple[RangeRow, ...]:
    """Ranges of RAM in guest space that belong neither to a device on a bus nor to a memory device."""
    view = view_of(snapshot)
    if view is None:
        return ()
    names = {b.name.rpartition("/")[2] if b.name.startswith("/objects/") else b.name for b in snapshot.layout.blocks}
    names = {name for name in names if not _PCI.match(name)} - ram_of_devices(snapshot)
    return tuple(r for r in view.ranges if r.type == "ram" and r.name in names)


def hole_below_4g(snapshot: Snapshot) -> int | None:
    """Bytes between RAM and 4 GiB on a PC; None where there is no such hole."""
    if snapshot.target not in ("x86_64", "i386"):
        return None
    ends = [r.last + 1 for r in main_ram(snapshot) if r.start < FOUR_GIB]
    return FOUR_GIB - max(ends) if ends and max(ends) < FOUR_GIB else None


def drawn(rows: Sequence[RegionRow]) -> Iterator[Placed]:
    """Every region of one tree."""
    enabled: list[bool] = []
    above: list[list[RegionRow]] = [[]]
    for at, row in enumerate(rows):
        del enabled[row.level - 1 :], above[row.level :]
        enabled.append(not row.disabled and (not enabled or enabled[-1]))
        end = at + 1
        while end < len(rows) and rows[end].level > row.level:
            end += 1
        yield Placed(row, enabled[-1], end - at - 1, tuple(above[row.level - 1]))
        above[row.level - 1].append(row)
        above.append([])
