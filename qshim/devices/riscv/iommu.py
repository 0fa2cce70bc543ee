"""riscv-iommu: what PCI functions see of memory through it (spec/virt-boards.md 13)."""

from __future__ import annotations

from qshim.devices.chipset.iommu import Iommu
from qshim.memory import MemoryRegion

__all__ = ["RiscvIommu"]


class RiscvIommu(Iommu):
    """The core of riscv-iommu-device and riscv-iommu-pci; functions are named after buses that have no number yet."""

    keeps = ("riscv-iommu-regs", "riscv-iommu-trap")
    region_type = "riscv-iommu-mr"

    def make_shared(self) -> None:
        """Where its own accesses end that are not to be."""
        self.add_space(self.made["riscv-iommu-trap[0]"], "riscv-iommu-trap-as")

    def make_root(self, devfn: int) -> MemoryRegion:
        """The translating region alone."""
        root = self.translating("riscv_iommu")
        self.add_space(root, f"riscv-iommu-0000:{devfn >> 3:02x}.{devfn & 7}-iova")
        return root
