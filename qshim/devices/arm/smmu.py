"""arm-smmuv3: what PCI functions see of memory through it (spec/virt-boards.md 5.5)."""

from __future__ import annotations

from qshim.devices.chipset.iommu import Iommu
from qshim.memory import MemoryRegion
from qshim.versions.virt import virt_quirks

__all__ = ["SmmuV3"]


class SmmuV3(Iommu):
    """An SMMU; each function has a translating region, which is named by its address and in which order it came."""

    keeps = ("arm-smmuv3",)
    region_type = "smmuv3-iommu-memory-region"

    def make_shared(self) -> None:
        """Its own view of memory, in releases that have one."""
        if virt_quirks(self.board.quirks.label).smmu_sees_memory:
            self.spaces.append(self.board.space(self.board.system, "smmu-memory-view"))

    def make_root(self, devfn: int) -> MemoryRegion:
        """The region alone: it passes everything through until a guest programs it."""
        root = self.translating(
            f"{self.region_type}-{devfn}-{len(self.roots)}", virt_quirks(self.board.quirks.label).smmu_size
        )
        self.add_space(root, str(root.name))
        return root
