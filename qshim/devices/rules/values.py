"""Values of properties as rules need them."""

from __future__ import annotations

import re

from qshim.devices.layout import Layout, RegionPlan, pow2_ceil
from qshim.devices.pci.bar import MEM
from qshim.devices.qdev import Device

__all__ = ["exclusive_msix", "flag", "msix_table", "number", "printed", "size"]

_SUFFIX = {"B": 0, "K": 10, "M": 20, "G": 30, "T": 40, "P": 50, "E": 60}
PBA_AT = 0x800


def printed(layout: Layout, name: str) -> str | None:
    """A property as `info qtree` printed it when the device was recorded (`4 (0x4)`, `true`, `"auto"`)."""
    prefix = f"{name} = "
    return next((line[len(prefix) :] for line in layout.lines if line.startswith(prefix)), None)


def number(device: Device, layout: Layout, name: str, default: int = 0) -> int:
    """An integer property, else what it was when the device was recorded."""
    if device.text_of(name):
        return device.number_of(name)
    told = printed(layout, name)
    found = None if told is None else re.match(r"-?\d+", told)
    return default if found is None else int(found[0])


def size(device: Device, layout: Layout, name: str, default: int = 0) -> int:
    """A property in bytes, which may have a suffix (`16M`)."""
    text = device.text_of(name)
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([BKMGTPE])?", text, re.IGNORECASE) if text else None
    if found is None:
        return number(device, layout, name, default)
    return int(float(found[1]) * (1 << _SUFFIX[(found[2] or "B").upper()]))


def flag(device: Device, layout: Layout, name: str, default: bool = True) -> bool:
    """A boolean property."""
    told = printed(layout, name)
    return device.is_on(name, default if told is None else told.strip('"') in ("true", "on"))


def msix_table(layout: Layout, vectors: int, *, table: RegionPlan, pba: RegionPlan) -> None:
    """Sizes of a vector table and its pending bits."""
    del layout
    table.size = 16 * vectors
    pba.size = -(-vectors // 64) * 8


def exclusive_msix(layout: Layout, vectors: int, bar: int) -> None:
    """A BAR of its own for the MSI-X of *vectors* vectors, or none for 0 (spec/x86-boards.md 6.3)."""
    name = f"{layout.type_name}-msix[0]"
    whole = layout.region(name)
    if not vectors:
        if whole is not None:
            layout.drop("msix-table[0]", "msix-pba[0]", name)
        return
    if whole is None:
        whole = layout.add(RegionPlan(name, 0x1000, "container", f"@bar{bar}", 0, 1), bar_kind=MEM)
        layout.add(RegionPlan("msix-table[0]", 0, "io", name))
        layout.add(RegionPlan("msix-pba[0]", 0, "io", name, PBA_AT))
    table, pba = layout.at("msix-table[0]"), layout.at("msix-pba[0]")
    msix_table(layout, vectors, table=table, pba=pba)
    pba.addr = max(PBA_AT, table.size)
    whole.size = max(0x1000, pow2_ceil(pba.addr + pba.size))
