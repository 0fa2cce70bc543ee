"""pc: i440FX and PIIX3 (spec/x86-boards.md 2.2, 3.1, 3.2)."""

from __future__ import annotations

from qshim.devices.catalogue import CatalogueFunction, create
from qshim.devices.qdev import Bus, Device
from qshim.machines.nics import make_nics
from qshim.machines.x86.pcboard import EEPROMS, Pc
from qshim.qom import QomObject

__all__ = ["PcI440fx"]


class PcI440fx(Pc):
    """pc."""

    family = "pc"

    @property
    def acpi_hotplug(self) -> bool:
        """PIIX4_PM does it, where there is one."""
        value = self.board.global_value("PIIX4_PM", "acpi-pci-hotplug-with-bridge-support")
        return self.has_acpi and value not in ("off", "false")

    @property
    def hpet_gpios(self) -> int:  # type: ignore[override]
        """Lines that hpet alone brings."""
        return 19 if not self.quirks.south_bridge_children else 8

    acpi_gpios = 1

    def populate(self) -> None:
        """Everything in QEMU's order (2.2)."""
        board, make = self.board, self.make_device
        self.has_acpi = self.has_acpi_option
        self.legacy_hotplug()
        self.make_cpus()
        self.make_pci_memory()
        old = not self.quirks.south_bridge_children
        if old:
            self.make_memory()
            self.make_host()
        else:
            # device memory becomes an address space after the host bridge, RAM is there before
            self.make_host_and_memory()
        self.tell_host(self.host)
        bus = board.pci_buses[0]
        bridge = "piix4-isa" if self.options.text("x-south-bridge") == "piix4-isa" else "PIIX3"
        south = self.make_south(bridge, bus)
        self.isa = south.buses[0] if south.buses else None
        if not old and self.cdrom():
            ide = south.child("ide")
            if isinstance(ide, Device) and len(ide.buses) > 1:
                self.make_cdrom(ide.buses[1], 1)
        if old:
            self.make_dma()
        self.make_pic()
        self.make_vga(bus)
        self.make_basic()
        make_nics(self, bus)
        if old:
            ide = make("piix3-ide", bus, {"addr": "1.1"})
            if self.cdrom() and len(ide.buses) > 1:
                self.make_cdrom(ide.buses[1], 1)
            if self.plan.usb or self.options.on("usb", False):
                make("piix3-usb-uhci", bus, {"addr": "1.2"})
            if self.has_acpi:
                pm = make("PIIX4_PM", bus, {"addr": "1.3"})
                self.make_eeproms(pm)
        elif self.has_acpi:
            pm_child = south.child("pm")
            assert isinstance(pm_child, Device)
            self.make_eeproms(pm_child)
        self.make_nvdimm()
        self.make_ide_ports()
        self.make_memory_hotplug(south)
        self.make_gpios()

    def make_host(self) -> None:
        """The host bridge with function 0."""
        board = self.board
        self.host = self.make_device("i440FX-pcihost", board.sysbus, parent=board.machine, name="i440fx")

    def make_host_and_memory(self) -> None:
        """10.0 and later: device memory becomes an address space after function 0 has its own."""
        self.make_host()
        self.make_memory()
        # the I/O APIC is made when RAM and fw_cfg are there
        devices = self.board.sysbus.devices
        ioapic = next(device for device in devices if device.type_name == "ioapic")
        devices.remove(ioapic)
        devices.append(ioapic)

    def make_south(self, bridge: str, bus: Bus) -> Device:
        """The south bridge; from 10.0 on with IDE, PM and USB inside."""
        usb = self.plan.usb or self.options.on("usb", False)
        family = "pc"
        if bridge == "piix4-isa":
            family = "pc,x-south-bridge=piix4-isa"
        elif usb and self.quirks.south_bridge_children:
            family = "pc,usb=on"
        device = create(self.board, bridge, properties={"addr": "1", "multifunction": "on"}, machine=family)
        assert isinstance(device, CatalogueFunction)
        # functions are realized by number
        device.layout.children.sort(key=lambda child: child.addr or 0)
        if not self.has_acpi:
            device.layout.children = [child for child in device.layout.children if child.name != "pm"]
        if self.quirks.south_bridge_children:
            device.properties |= {name: "off" for name, on in (
                ("smm-enabled", self.options.on("smm", True)), ("has-acpi", self.has_acpi),
            ) if not on}  # fmt: skip
        return self.board.plug(device, bus)

    def make_eeproms(self, pm: Device) -> None:
        """SMBus EEPROMs."""
        if not self.options.on("smm", True):
            pm.properties["smm-enabled"] = "off"
        i2c = next((bus for bus in pm.buses if bus.name == "i2c"), None)
        for number in range(EEPROMS):
            self.make_device("smbus-eeprom", i2c, {"address": str(0x50 + number)})

    def make_ide_ports(self) -> None:
        """The ports of IDE, which belong to nobody."""
        from qshim.devices.build import REGISTERS

        board = self.board
        owner = QomObject("memory-region-portio-list") if self.quirks.port_list_objects else None
        for port, size in ((0x1F0, 8), (0x3F6, 1), (0x170, 8), (0x376, 1)):
            region = board.io("ide", size, owner, REGISTERS, parent=board.unattached)
            board.ports.add_subregion(region, port)

    def make_memory_hotplug(self, south: Device) -> None:
        """Registers for DIMMs."""
        self.add_memory_hotplug()
