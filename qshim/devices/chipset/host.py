"""The host bridge devices of pc and q35: their bus, and ports cf8 and cfc (spec/x86-boards.md 3.2, 3.6)."""

from __future__ import annotations

from qshim.devices.build import next_name
from qshim.devices.catalogue import CatalogueDevice, instantiate
from qshim.devices.pci.bus import PciBus
from qshim.devices.pci.host import ConfigMechanism

__all__ = ["I440FXHost", "Q35Host"]


class _Host(CatalogueDevice):
    def make_bus(self, name: str, kind: str, *, hotpluggable: bool) -> PciBus:
        """The root bus, and everything that the catalogue knows of the device."""
        board = self.board
        bus = PciBus(board, kind, board.isa_memory, board.ports, hotpluggable=hotpluggable)
        self.add_bus(name, bus)
        bus.bypasses_iommu = self.is_on("bypass-iommu")
        board.pci_buses.append(bus)
        mechanism = ConfigMechanism(bus)
        layout = self.layout
        layout.buses = []
        # function 0 makes what its registers work, although some of it is the host's
        layout.regions = [plan for plan in layout.regions if plan.plain.startswith("pci-conf-")]
        layout.objects = []
        for plan in layout.regions:
            plan.ops = mechanism.index if plan.plain == "pci-conf-idx" else mechanism.data
        self.build()
        return bus


class I440FXHost(_Host):
    """i440FX-pcihost; function 0 has no parent and so a number."""

    def realize(self) -> None:
        """Make the bus, the ports, and function 0."""
        # nobody named the bus, so that the next one is pci.1
        bus = self.make_bus(next_name(self.board, "PCI"), "PCI", hotpluggable=True)
        instantiate(self.board, "i440FX", bus, properties={"addr": "0"}, machine="pc")


class Q35Host(_Host):
    """q35-pcihost; function 0 is its child `mch`."""

    def realize(self) -> None:
        """Make the bus, the ports, and function 0."""
        self.make_bus("pcie.0", "PCIE", hotpluggable=False)
