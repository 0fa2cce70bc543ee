"""microvm: virtio over MMIO, and as little else as possible (spec/x86-boards.md 3.11)."""

from __future__ import annotations

from qshim.devices.catalogue import CatalogueDevice, create
from qshim.devices.qdev import Device
from qshim.machines.x86.layouts import FOUR_GIB, IOAPIC_SECOND, MICROVM_VIRTIO, MICROVM_VIRTIO_STEP, Layout, split
from qshim.machines.x86.pairs import make_pics
from qshim.machines.x86.pcboard import Pc
from qshim.memory import MemoryRegion
from qshim.qom import QomObject
from qshim.units import KIB

__all__ = ["MicroVm"]

TRANSPORTS, TRANSPORTS_ONE_IOAPIC = 24, 8
MMIO32, MMIO32_SIZE = 0xC0000000, 0x20000000
ECAM, ECAM_SIZE = 0xE0000000, 0x10000000


class MicroVm(Pc):
    """microvm."""

    family = "microvm"
    ram_id = "microvm.ram"
    most_cpus = 288
    gpios = 28
    hotplug_cpus = adds_memory = False
    roms_are_readonly = False

    @property
    def levels(self) -> tuple[str, ...]:  # type: ignore[override]
        """CPUs have sockets, cores and threads alone."""
        return ("socket", "core", "thread")

    @property
    def rom_memory(self) -> MemoryRegion:
        """Firmware is mapped beside RAM."""
        return self.board.system

    @property
    def default_bios(self) -> tuple[str, int]:
        """With ACPI a BIOS of its own, without qboot."""
        if self.has_acpi:
            return "bios-microvm.bin", (128 if self.quirks.south_bridge_children else 64) * KIB
        return "qboot.rom", 64 * KIB

    def arrange(self) -> Layout:
        """RAM below and above 4 GiB; nobody looks at address widths."""
        below, above, _ = split("microvm", self.ram_size, None)
        return Layout(below, above, FOUR_GIB)

    def populate(self) -> None:
        """Everything in QEMU's order (2.2)."""
        board, make, options = self.board, self.make_device, self.options
        self.has_acpi = options.on("acpi", True)
        self.map_ram(self.arrange())
        self.make_fw_cfg()
        self.make_cpus()
        bridge = make("isabus-bridge", board.sysbus)
        self.isa = bridge.buses[0]
        make("ioapic", board.sysbus, parent=board.machine, name="ioapic")
        two = self.has_acpi and options.on("ioapic2", True)
        if two:
            self._second_ioapic()
        count = TRANSPORTS if two else TRANSPORTS_ONE_IOAPIC
        for number in range(count):
            self._transport(number)
        if self.has_acpi:
            make("acpi-ged" if self.quirks.south_bridge_children else "acpi-ged-x86", board.sysbus)
            if self.plan.usb or options.on("usb", False):
                self._usb()
            if options.on("pcie", False):
                self._pcie()
        if options.on("pic", True):
            make_pics(self)
        if options.on("pit", True):
            make("isa-pit", self.isa)
        if options.on("rtc", True):
            make("mc146818rtc", self.isa)
        serials, _ = self.ports_asked()
        if options.on("isa-serial", True) and serials:
            make("isa-serial", self.isa, {"index": "0", "chardev": "serial0"})
        self.make_bios()
        if self.plan.vga not in (None, "none"):
            self.warn(
                "A -vga option was passed but this machine type does not use that option; "
                "No VGA device has been created"
            )
        self.make_gpios()

    def make_gpios(self) -> None:
        """Interrupt lines that belong to nobody."""
        options = self.options
        two = self.has_acpi and options.on("ioapic2", True)
        count = 28 if two else 12 if self.has_acpi else 10
        count -= sum(not options.on(name, True) for name in ("pic", "pit", "rtc"))
        if self.has_acpi:
            count += self.plan.usb or options.on("usb", False)
            count += 4 * options.on("pcie", False)
        for number in range(count):
            self.board.unattached.add_child(f"non-qdev-gpio[{number}]", QomObject("irq"))

    def _second_ioapic(self) -> None:
        device = create(self.board, "ioapic", machine="microvm")
        assert isinstance(device, CatalogueDevice)
        for plan in device.layout.regions:
            plan.addr = IOAPIC_SECOND
        lines = device.layout.lines
        device.layout.lines = tuple(line.replace("00000000fec00000", "00000000fec10000") for line in lines)
        self.board.plug(device, self.board.sysbus)

    def _transport(self, number: int) -> Device:
        device = create(self.board, "virtio-mmio", machine="microvm")
        assert isinstance(device, CatalogueDevice)
        at = MICROVM_VIRTIO + number * MICROVM_VIRTIO_STEP
        for plan in device.layout.regions:
            if plan.container == "@system":
                plan.addr = at
        device.layout.lines = tuple(
            f"mmio {at:016x}/{MICROVM_VIRTIO_STEP:016x}" if line.startswith("mmio ") else line
            for line in device.layout.lines
        )
        return self.board.plug(device, self.board.sysbus)

    def _usb(self) -> None:
        device = create(self.board, "sysbus-xhci", machine="microvm,pcie=on,usb=on")
        self.board.plug(device, self.board.sysbus)

    def _pcie(self) -> None:
        """A generic host bridge with its windows."""
        from qshim.devices.chipset.gpex import GpexHost

        board = self.board
        host = GpexHost.recorded_on(board, machine="microvm,pcie=on,usb=on")
        board.plug(host, board.sysbus)
        system = board.system
        window32 = board.alias("pcie-mmio32", host.window, MMIO32, MMIO32_SIZE, host)
        system.add_subregion(window32, MMIO32)
        ecam = board.alias("pcie-ecam", host.ecam, 0, ECAM_SIZE, host)
        system.add_subregion(ecam, ECAM)
        size = (1 << self.cpu.phys_bits) // 4
        base = (1 << self.cpu.phys_bits) - size
        window64 = board.alias("pcie-mmio64", host.window, base, size, host)
        system.add_subregion(window64, base)



    def acpi_tables(self) -> int:
        """One page holds them, whatever is on the board (up to 288 CPUs)."""
        return 4 * KIB
