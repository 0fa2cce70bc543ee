"""RegionObject: a memory region's place in the object tree (spec/memory.md 1.1, spec/recordings.md 6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qshim.qom.object import QomObject

if TYPE_CHECKING:
    from qshim.memory import MemoryRegion

__all__ = ["RegionObject"]


class RegionObject(QomObject):
    """The object of a live region: what it tells is what the region is now."""

    __slots__ = ("region",)

    def __init__(self, region: MemoryRegion) -> None:
        super().__init__("iommu-memory-region" if region.is_iommu else "memory-region")
        self.region = region
