"""gpex-pcihost: the generic PCI Express host bridge of microvm and the virt boards (spec/x86-boards.md 3.11)."""

from __future__ import annotations

from collections.abc import Mapping

from qshim.devices.board import Board
from qshim.devices.catalogue import CatalogueDevice, create
from qshim.devices.layout import Layout
from qshim.devices.pci.bus import PciBus
from qshim.devices.pci.host import ecam_ops
from qshim.memory import MemoryRegion
from qshim.units import SPACE

__all__ = ["GpexHost"]

ECAM_SIZE = 0x10000000
PORTS_SIZE = 0x10000


class GpexHost(CatalogueDevice):
    """The host bridge; the board maps its windows `window` (memory), `ports` and `ecam`."""

    ecam: MemoryRegion
    window: MemoryRegion
    ports: MemoryRegion
    maps_bars_at_0 = False
    """The virt boards set it."""

    def __init__(
        self, board: Board, layout: Layout, *, device_id: str | None, properties: Mapping[str, str] | None
    ) -> None:
        super().__init__(board, layout, device_id=device_id, properties=properties)

    @classmethod
    def recorded_on(cls, board: Board, machine: str) -> GpexHost:
        """The host bridge that the catalogue has for *machine*."""
        made = create(board, "gpex-pcihost", machine=machine)
        assert isinstance(made, GpexHost)
        return made

    def realize(self) -> None:
        """Windows, the bus, and function 0."""
        board = self.board
        self.ecam = board.io("pcie-mmcfg-mmio", ECAM_SIZE, self)
        memory = board.container("gpex_mmio", SPACE, self)
        ports = board.container("gpex_ioport", PORTS_SIZE, self)
        self.window, self.ports = memory, ports
        if board.global_value(self.type_name, "allow-unmapped-accesses") not in ("off", "false"):
            # without it, what no device takes is no access at all (machine types until 6.0)
            self.window = board.io("gpex_mmio_window", SPACE, self)
            self.ports = board.io("gpex_ioport_window", PORTS_SIZE, self)
            self.window.add_subregion(memory, 0)
            self.ports.add_subregion(ports, 0)
        bus = PciBus(board, "PCIE", memory, ports)
        self.add_bus("pcie.0", bus)
        bus.bypasses_iommu = self.is_on("bypass-iommu")
        board.pci_buses.append(bus)
        board.maps_bars_at_0 = self.maps_bars_at_0
        self.ecam.ops = ecam_ops(bus)
        layout = self.layout
        layout.buses = []
        layout.regions = []
        layout.objects = [row for row in layout.objects if "gpex_" not in row[0] and "pcie-" not in row[0]]
        self.build()
        for function in bus.slots.values():
            # it answers through ECAM alone, where nobody recorded it
            function.config[:] = bytes(len(function.config))
            function.config[0:4] = (0x00081B36).to_bytes(4, "little")
            function.config[0x0A:0x0C] = (0x0600).to_bytes(2, "little")
            function.config[0x2C:0x30] = (0x11001AF4).to_bytes(4, "little")
            function.initial = bytes(function.config)
