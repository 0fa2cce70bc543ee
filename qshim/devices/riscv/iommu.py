"""riscv-iommu: what PCI functions see of memory through it (spec/virt-boards.md 13)."""

from __future__ import annotations

from qshim.devices.catalogue import CatalogueFunction
from qshim.devices.chipset.iommu import Iommu
from qshim.devices.layout import Layout
from qshim.devices.pci.bus import PciBus
from qshim.devices.pci.function import PciFunction
from qshim.memory import MemoryRegion

__all__ = ["RiscvIommu", "RiscvIommuPci"]


class RiscvIommu(Iommu):
    """The core of riscv-iommu-device and riscv-iommu-pci; functions are named after buses that have no number yet."""

    keeps = ("riscv-iommu-regs", "riscv-iommu-trap")
    region_type = "riscv-iommu-mr"

    def realize(self) -> None:
        """As part of a function it is called after its address."""
        if isinstance(self.parent, PciFunction):
            devfn = self.parent.devfn
            self.id = f"00:{devfn >> 3:02x}.{devfn & 7}"
        buses = self.board.pci_buses
        before = buses[0].dma_root if buses and isinstance(buses[0], PciBus) else None
        super().realize()
        if isinstance(getattr(before, "__self__", None), RiscvIommu) and self.root_bus is not None:
            # the first one keeps the bus
            self.root_bus.dma_root, self.root_bus = before, None

    def prepare(self, layout: Layout) -> None:
        """Registers behind a BAR are put there by the function, which makes that region last."""
        super().prepare(layout)
        for plan in layout.regions:
            if plan.container is not None and plan.container.startswith("../"):
                plan.container = None

    def view_of(self, function: PciFunction) -> MemoryRegion:
        """IOMMUs that are functions see memory itself."""
        return self.board.system if isinstance(function, RiscvIommuPci) else super().view_of(function)

    def make_shared(self) -> None:
        """Where its own accesses end that are not to be."""
        self.add_space(self.made["riscv-iommu-trap[0]"], "riscv-iommu-trap-as")

    def make_root(self, devfn: int) -> MemoryRegion:
        """The translating region alone."""
        root = self.translating("riscv_iommu")
        self.add_space(root, f"riscv-iommu-0000:{devfn >> 3:02x}.{devfn & 7}-iova")
        return root


class RiscvIommuPci(CatalogueFunction):
    """An IOMMU that is a PCI function."""

    def make(self) -> None:
        """The registers are at the start of BAR 0."""
        super().make()
        core = self.child("iommu")
        assert isinstance(core, RiscvIommu)
        self.made["riscv-iommu-bar0[0]"].add_subregion(core.made["riscv-iommu-regs[0]"], 0)
