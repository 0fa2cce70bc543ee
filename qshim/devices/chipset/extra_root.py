"""pxb, pxb-pcie, pxb-cxl: root buses besides the first one (spec/x86-boards.md 5.3, 1.3)."""

from __future__ import annotations

from qshim.devices.catalogue import CatalogueDevice, CatalogueFunction, instantiate
from qshim.devices.errors import DeviceError
from qshim.devices.layout import Layout
from qshim.devices.pci.address import shown
from qshim.devices.pci.bus import PciBus

__all__ = ["Pxb"]

CXL_HOST = 0x10000


class Pxb(CatalogueFunction):
    """An expander: a host device with a root bus of its own, which shares memory and ports with the first one."""

    def check(self) -> None:
        """It wants its kind of bus, and a number that nobody has.

        :raises DeviceError: it cannot be.
        """
        bus = self.pci_bus
        if (self.type_name == "pxb") == bus.express:
            kind = "PCIe" if bus.express else "PCI"
            raise DeviceError(f"{self.type_name} devices cannot reside on a {kind} bus")
        self.bus_number = self.number_of("bus_nr")
        if not bus.is_root or bus.expander is not None:
            raise DeviceError("PXB devices can be attached only to root bus")
        for other in bus.children_buses:
            if other.number == self.bus_number:
                raise DeviceError(f"Bus {self.bus_number} is already in use")

    def prepare(self, layout: Layout) -> None:
        """The host, its bus and the bridge on it are made here."""
        self.host_layout = next((c.layout for c in layout.children if c.layout.type_name.endswith("-host")), None)
        layout.children = []

    def make(self) -> None:
        """Make the host device, its bus, and for pxb a bridge on it."""
        super().make()
        board = self.board
        express = self.type_name != "pxb"
        kind = {"pxb": "pxb-bus", "pxb-pcie": "pxb-pcie-bus", "pxb-cxl": "pxb-cxl-bus"}[self.type_name]
        recorded = self.host_layout or Layout("pxb-cxl-host" if self.type_name == "pxb-cxl" else "pxb-host")
        host = CatalogueDevice(board, Layout(recorded.type_name, lines=recorded.lines), device_id=None, properties=None)
        first = self.pci_bus
        bus = PciBus(
            board,
            kind,
            first.memory,
            first.ports,
            parent_bus=first,
            number=self.bus_number,
            path=f"0000:{self.bus_number:02x}:{shown(self.devfn)}",
            express=express,
            expander=self,
        )
        name = (self.id or f"{kind}.0") if express else "pxb-internal"
        host.add_bus(name, bus)
        board.plug(host, board.sysbus)
        self.apart.append(host)
        board.pci_buses.append(bus)
        self.extra_bus = bus
        bus.bypasses_iommu = self.is_on("bypass_iommu")
        if bus.bypasses_iommu:
            host.properties["bypass-iommu"] = "on"
        if self.type_name == "pxb":
            properties = {"chassis_nr": str(self.bus_number), "addr": "0", "shpc": "off", "msi": "off"}
            bridge = instantiate(board, "pci-bridge", bus, self.id, properties)
            self.apart.append(bridge)
        if self.type_name == "pxb-cxl" and board.cxl_host is not None:
            registers = board.container("pxb-cxl-host", CXL_HOST, host)
            for part, at in ((".io", 0), (".cache_mem", 0x1000)):
                registers.add_subregion(board.io(part, 0x1000, host), at)
            board.cxl_host.add_subregion(registers, board.bus_numbers.get("cxl-host", 0) * CXL_HOST)
            board.bus_numbers["cxl-host"] = board.bus_numbers.get("cxl-host", 0) + 1

    def unrealize(self) -> None:
        """Take the root bus away."""
        bus = getattr(self, "extra_bus", None)
        if bus is not None and bus in self.board.pci_buses:
            self.board.pci_buses.remove(bus)
            bus.close()
        super().unrealize()
