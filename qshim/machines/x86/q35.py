"""q35: MCH and ICH9 (spec/x86-boards.md 2.2, 3.5, 3.6)."""

from __future__ import annotations

from qshim.devices.catalogue import CatalogueFunction, create
from qshim.devices.qdev import Bus
from qshim.machines.nics import make_nics
from qshim.machines.x86.pcboard import EEPROMS, Pc
from qshim.units import GIB

__all__ = ["PcQ35"]


class PcQ35(Pc):
    """q35."""

    family = "q35"
    host_type = "q35-pcihost"

    @property
    def acpi_hotplug(self) -> bool:
        """ICH9-LPC does it, unless it was told not to."""
        return self.board.global_value("ICH9-LPC", "acpi-pci-hotplug-with-bridge-support") not in ("off", "false")

    hole64_size = 32 * GIB
    gpios = 27
    has_floppy = False

    @property
    def most_cpus(self) -> int:  # type: ignore[override]
        """CPUs that the type allows."""
        if self.compat.q35_cpus is not None:
            return min(self.compat.q35_cpus, 288) if not self.quirks.smp_is_strict else self.compat.q35_cpus
        return 4096 if self.quirks.smp_is_strict else 288

    @property
    def default_nic(self) -> str:  # type: ignore[override]
        """The NIC without a model."""
        return "e1000" if self.compat.e1000_default else "e1000e"

    def populate(self) -> None:
        """Everything in QEMU's order (2.2)."""
        board, make, options = self.board, self.make_device, self.options
        self.has_acpi = self.has_acpi_option
        self.legacy_hotplug()
        smm = options.on("smm", True)
        board.smm = smm or not self.quirks.smm_off_drops_smram
        self.make_cpus()
        self.make_pci_memory()
        self.make_memory()
        host = make("q35-pcihost", board.sysbus, parent=board.machine, name="q35")
        self.tell_host(host)
        if not smm:
            host.properties["smm-ranges"] = "off"
        bus = board.pci_buses[0]
        south = make("ICH9-LPC", bus, {"addr": "1f.0", "multifunction": "on"})
        if not smm:
            south.properties["smm-enabled"] = "off"
        self.isa = south.buses[0] if south.buses else None
        if not self.quirks.south_bridge_children:
            self.make_dma()
        self.make_pic()
        self.make_basic()
        if not self.quirks.south_bridge_children:
            # power management is made after the rest of the south bridge and its ISA devices
            pm = next(region for region in south.regions if region.name == "ich9-pm")
            board.ports.del_subregion(pm)
            board.ports.add_subregion(pm, pm.addr)
        if options.on("sata", True):
            ahci = make("ich9-ahci", bus, {"addr": "1f.2", "multifunction": "on"})
            if self.cdrom() and len(ahci.buses) > 2:
                self.make_cdrom(ahci.buses[2], 2)
        if self.plan.usb or options.on("usb", False):
            self.make_usb(bus)
        if options.on("smbus", True):
            smb = make("ICH9-SMB", bus, {"addr": "1f.3", "multifunction": "on"})
            i2c = next((b for b in smb.buses if b.name == "i2c"), None)
            for number in range(EEPROMS):
                make("smbus-eeprom", i2c, {"address": str(0x50 + number)})
        self.make_vga(bus)
        make_nics(self, bus)
        self.make_nvdimm()
        self.add_memory_hotplug()
        self.make_gpios()

    def make_usb(self, bus: Bus) -> None:
        """EHCI and its companions."""
        self.make_user_device("ich9-usb-ehci1", bus, {"addr": "1d.7", "multifunction": "on"})
        for number in range(3):
            properties = {"addr": f"1d.{number}", "multifunction": "on", "firstport": str(2 * number),
                          "masterbus": "usb-bus.0"}  # fmt: skip
            device = create(self.board, f"ich9-usb-uhci{number + 1}", properties=properties)
            assert isinstance(device, CatalogueFunction)
            # a companion has no bus of its own
            device.layout.buses = []
            self.board.plug(device, bus)
