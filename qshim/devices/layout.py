"""What a device is made of, as a value that property rules may change before it is built.

`Layout` is a fragment of the device catalogue (tests/tools/record_devices.py describes the data).
References: `X[0]` a region of this device, `child/X[0]` of a child of it, `../X[0]` of its parent,
`@NAME` one of the board (`@system`, `@io`, `@pci`, `@pc.ram`), `@barN` behind a BAR.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from qshim.devices.pci.bar import IO, ROM_SLOT
from qshim.memory import MemoryRegionOps

__all__ = ["ChildPlan", "Layout", "PciPlan", "RegionPlan", "pow2_ceil"]


_ESCAPED = re.compile(r"\\x(2f|5b|5d)")
"""How the object tree writes `/`, `[` and `]` of a region's name."""


def pow2_ceil(number: int) -> int:
    """The smallest power of two that is not less than *number* (1 for 0)."""
    return 1 << max(number - 1, 0).bit_length()


@dataclass(slots=True)
class RegionPlan:
    """One region."""

    name: str
    """With its number among those of that name (`msix-table[0]`)."""
    size: int
    kind: str = "io"
    """io, container, ram, rom, romd, iommu, alias, or backend: the memory backend *target*."""
    container: str | None = None
    addr: int = 0
    priority: int = 0
    enabled: bool = True
    target: str = ""
    offset: int = 0
    port_list: bool = False
    block: str | None = None
    """Name of its RAM block, `*` standing for the device's path; None: the block has no name."""
    content: str | None = None
    """A firmware file that fills it."""
    ops: MemoryRegionOps | None = None
    owned: bool = True
    """False: it has no owner and hangs below /machine/unattached."""

    @property
    def plain(self) -> str:
        """The region's name without its number, its special characters written out."""
        name = self.name.rpartition("[")[0]
        return name if "\\x" not in name else _ESCAPED.sub(lambda found: chr(int(found[1], 16)), name)

    @property
    def bar(self) -> int | None:
        """The BAR it is behind, if it is behind one."""
        here = self.container
        return int(here[4:]) if here is not None and here.startswith("@bar") else None


@dataclass(slots=True)
class PciPlan:
    """Configuration space and BARs."""

    config: bytearray
    mask: bytearray
    clear: bytearray
    kinds: dict[int, int]
    """BAR -> type bits."""
    lines: tuple[str, ...] = ()
    """What `info pci` says of it with nothing mapped."""


@dataclass(slots=True)
class ChildPlan:
    """A device inside a device."""

    name: str
    layout: Layout
    bus: str
    """Name of a bus of its parent, `@TYPE` of a bus elsewhere, `@`: on none."""
    addr: int | None = None

    @property
    def on_bus(self) -> int | None:
        """It hangs below this child bus of its parent (`#0/legacy[0]`)."""
        return int(self.name[1 : self.name.index("/")]) if self.name.startswith("#") else None

    @property
    def apart(self) -> bool:
        """It hangs below /machine/unattached instead of its parent."""
        return self.name.startswith("@")


@dataclass(slots=True)
class Layout:
    """Everything that realizing a device makes."""

    type_name: str
    regions: list[RegionPlan] = field(default_factory=list)
    objects: list[tuple[str, str, int | None]] = field(default_factory=list)
    """(name, type, how many: None is one without a number)."""
    buses: list[tuple[str, str]] = field(default_factory=list)
    """(name, type), the oldest first; `{id}.N` is numbered by QEMU where the device has no id."""
    children: list[ChildPlan] = field(default_factory=list)
    spaces: list[tuple[str, str]] = field(default_factory=list)
    """(name, root region)."""
    blocks: list[str] = field(default_factory=list)
    """Names of regions with a RAM block, the oldest block first."""
    lines: tuple[str, ...] = ()
    """What `info qtree` says of it."""
    pci: PciPlan | None = None
    unattached: list[tuple[str, str]] = field(default_factory=list)
    """Objects that appear below /machine/unattached: (path, type)."""

    @property
    def is_vga(self) -> bool:
        """A VGA compatible function by its class code."""
        return self.pci is not None and self.pci.config[0x0A:0x0C] == b"\x00\x03"

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Layout:
        """The layout that a fragment of the catalogue describes."""
        out = cls(data["t"])
        out.regions = [_region(row) for row in data.get("r", ())]
        out.objects = [(row[0], row[1], row[2] if len(row) > 2 else None) for row in data.get("o", ())]
        out.buses = [(row[0], row[1]) for row in data.get("b", ())]
        out.children = [ChildPlan(name, cls.of(inner), bus, addr) for name, inner, bus, addr in data.get("c", ())]
        out.spaces = [(name, root) for name, root in data.get("as", ())]
        out.lines = tuple(data.get("q", ()))
        out.unattached = [(path, kind) for path, kind in data.get("un", ())]
        for name, plain, *_ in data.get("blk", ()):
            found = next((r for r in out.regions if r.plain == plain and r.kind in ("ram", "rom", "romd")), None)
            if found is not None:
                found.block = name
                out.blocks.append(found.name)
        pci = data.get("pci")
        if pci is not None:
            size = pci["size"]
            config, mask, clear = (
                bytearray.fromhex(pci[name]).ljust(size, b"\0") for name in ("config", "mask", "clear")
            )
            kinds = {index: kind for index, kind, _ in pci["bars"]}
            out.pci = PciPlan(config, mask, clear, kinds, tuple(pci.get("lines", ())))
        return out

    # --- what property rules do ---

    def region(self, name: str) -> RegionPlan | None:
        """The region *name* (with or without its number)."""
        return next((r for r in self.regions if r.name == name or r.plain == name), None)

    def at(self, name: str) -> RegionPlan:
        """The region *name*, which is there.

        :raises KeyError: it is not.
        """
        found = self.region(name)
        if found is None:
            raise KeyError(name)
        return found

    def drop(self, *names: str) -> None:
        """Leave regions out, with their RAM blocks and BARs."""
        for found in [r for r in self.regions if r.name in names or r.plain in names]:
            self.regions.remove(found)
            if found.name in self.blocks:
                self.blocks.remove(found.name)
            if found.bar is not None and self.pci is not None:
                self.drop_bar(found.bar)

    def drop_bar(self, index: int) -> None:
        """No BAR *index*; the region that was behind it stays, unmapped."""
        if self.pci is None or index not in self.pci.kinds:
            return
        kind = self.pci.kinds.pop(index)
        at = (0x38 if self.pci.config[0x0E] & 0x7F == 1 else 0x30) if index == ROM_SLOT else 0x10 + 4 * index
        width = 8 if not kind & IO and kind & 4 else 4
        self.pci.config[at : at + width] = self.pci.mask[at : at + width] = bytes(width)
        for region in self.regions:
            if region.bar == index:
                region.container = None

    def add(self, region: RegionPlan, *, block: str | None = None, bar_kind: int | None = None) -> RegionPlan:
        """One region more, perhaps with a RAM block called *block* and behind a BAR with type bits *bar_kind*."""
        if region.name.endswith("[]"):
            plain = region.plain
            region.name = f"{plain}[{sum(r.plain == plain for r in self.regions)}]"
        self.regions.append(region)
        if block is not None:
            region.block = block
            self.blocks.append(region.name)
        if bar_kind is not None and self.pci is not None and region.bar is not None:
            self.pci.kinds[region.bar] = bar_kind
        return region

    def behind(self, index: int) -> RegionPlan | None:
        """The region behind BAR *index*."""
        return next((r for r in self.regions if r.bar == index), None)


def _region(row: Mapping[str, Any]) -> RegionPlan:
    container, addr, priority = row.get("at", (None, 0, 0))
    target, offset = row.get("to", ("", 0))
    size = row["s"]
    return RegionPlan(
        row["n"],
        1 << 64 if size == (1 << 64) - 1 else size,
        row["k"],
        container,
        addr,
        priority,
        not row.get("off", False),
        target,
        offset,
        "pl" in row,
        owned=row.get("own") != "none",
    )
