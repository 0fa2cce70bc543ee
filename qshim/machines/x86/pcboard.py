"""What pc, q35, isapc and microvm have in common (spec/x86-boards.md 1, 2, 3)."""

from __future__ import annotations

from qshim.argv.errors import OptionError
from qshim.devices.catalogue import CatalogueDevice, create, instantiate
from qshim.devices.memory.placement import DeviceMemory
from qshim.devices.qdev import Bus, Device
from qshim.machines.errors import MachineError
from qshim.machines.x86.firmware import FirmwareMachine
from qshim.machines.x86.layouts import AMD_HOLE, FOUR_GIB, OPTION_ROMS, OPTION_ROMS_SIZE, Layout, device_memory, split
from qshim.machines.x86.pairs import make_dma, make_pics
from qshim.memory import MemoryRegion
from qshim.qom import QomObject
from qshim.units import GIB, MIB, SPACE, TIB, up

__all__ = ["Pc"]

_VGA = {"std": "VGA", "cirrus": "cirrus-vga", "vmware": "vmware-svga", "qxl": "qxl-vga", "virtio": "virtio-vga"}
_VGA_TYPES = frozenset(
    ("isa-cirrus-vga", "cirrus-vga", "VGA", "isa-vga", "vmware-svga", "qxl-vga", "virtio-vga", "ati-vga",
     "vhost-user-vga", "virtio-vga-gl")
)  # fmt: skip
EEPROMS = 8
MAX_FIRMWARE = 8 * MIB


class Pc(FirmwareMachine):
    """A board with PCI, ISA and ACPI."""

    ram_id = "pc.ram"
    most_cpus = 255

    @property
    def levels(self) -> tuple[str, ...]:  # type: ignore[override]
        """What a CPU's place consists of."""
        if self.quirks.smp_is_strict:
            return ("socket", "die", "module", "core", "thread")
        return ("socket", "die", "core", "thread")

    hotplug_cpus = adds_memory = True
    hole64_size = 2 * GIB
    gpios = 28

    # --- memory ---

    def arrange(self) -> Layout:
        """RAM, device memory and the 64-bit hole, and the checks of address widths.

        :raises MachineError: they do not fit.
        """
        options = self.options
        limit = options.size("max-ram-below-4g")
        if limit is not None:
            if limit > FOUR_GIB:
                raise MachineError(f"Machine option 'max-ram-below-4g={limit}' expects size less than or equal to 4G")
            if limit < MIB:
                self.warn(f"Only {limit} bytes of RAM below the 4GiB boundary,BIOS may not work with less than 1MiB")
        below, above, warnings = split(
            self.family, self.ram_size, limit or None, gigabyte_align=self.compat.gigabyte_align
        )
        for text in warnings:
            self.warn(text)
        layout = self._placed(below, above, FOUR_GIB)
        bits = self.cpu.phys_bits
        if self.cpu.amd and self.compat.amd_hole and layout.hole64 + self.hole64() - 1 >= AMD_HOLE:
            layout = self._placed(below, above, TIB)
        self._check_width(layout, bits)
        return layout

    def _placed(self, below: int, above: int, start: int) -> Layout:
        end = start + above
        found = None
        hole = end
        if self.max_memory > self.ram_size and self.compat.reserved_memory:
            slots = self.plan.slots if self.compat.slot_alignment else 0
            found = device_memory(end, self.ram_size, self.max_memory, slots)
            hole = found[0] + (0 if self.compat.broken_reserved_end else found[1])
        if self.options.on("cxl", False):
            hole = self._cxl_at(end, found) + MIB
        return Layout(below, above, start, found, up(hole, GIB))

    @staticmethod
    def _cxl_at(above_end: int, memory: tuple[int, int] | None) -> int:
        """Where the registers of CXL host bridges are (1.3)."""
        return above_end if memory is None else sum(memory)

    def hole64(self) -> int:
        """Bytes of the 64-bit PCI hole."""
        text = self.board.global_value(self.host_type, "pci-hole64-size")
        if text:
            from qshim.argv.opts import size

            return size(text, "pci-hole64-size", 1, lambda desc: OptionError(desc))
        return self.hole64_size

    host_type = "i440FX-pcihost"

    def _check_width(self, layout: Layout, bits: int) -> None:
        most = (1 << bits) - 1
        needed = layout.hole64 + self.hole64() - 1
        if self.quirks.phys_bits_by_ram_end:
            if not self.cpu.long_mode:
                if self.compat.ignored_phys_bits_32:
                    return
                memory = layout.device_memory
                needed = (layout.above_end if memory is None else sum(memory)) - 1
        elif bits <= 32:
            return
        if most < needed:
            raise MachineError(f"Address space limit 0x{most:x} < 0x{needed:x} phys-bits too low ({bits})")

    def make_memory(self) -> None:
        """RAM, device memory, firmware, fw_cfg."""
        board = self.board
        if self.max_memory > self.ram_size and self.compat.reserved_memory:
            self.device_memory_limits()
        layout = self.arrange()
        self.map_ram(layout)
        board.maximum_memory, board.slots = self.max_memory, self.plan.slots
        board.takes_dimms = True
        board.nvdimm = self.options.on("nvdimm", False)
        board.numa_nodes = self.numa.count
        if not self.has_acpi:
            board.refuses_dimms = "memory hotplug is not enabled: missing acpi device or acpi disabled"
        elif not self.compat.reserved_memory and self.family == "pc":
            board.refuses_dimms = "memory hotplug is not enabled: PIIX4_PM.memory-hotplug-support is not set"
        if self.max_memory > self.ram_size:
            if not self.compat.reserved_memory:
                raise MachineError(f"\"-memory 'slots|maxmem'\" is not supported by: {self.request.name}")
            assert layout.device_memory is not None
            base, size = layout.device_memory
            if base + size >= SPACE:
                raise MachineError(f"unsupported amount of maximum memory: {self.max_memory:x}")
            board.device_memory = DeviceMemory(board, base, size, self.plan.slots)
        if self.options.on("cxl", False):
            board.cxl_host = board.container("cxl_host_reg", MIB, board.machine)
            board.system.add_subregion(board.cxl_host, self._cxl_at(layout.above_end, layout.device_memory))
        self.make_firmware()
        rom = board.ram("pc.rom", OPTION_ROMS_SIZE, block="pc.rom", readonly=self.roms_are_readonly)
        self.rom_memory.add_subregion(rom, OPTION_ROMS, 1)
        self.make_fw_cfg()

    roms_are_readonly = True

    @property
    def rom_memory(self) -> MemoryRegion:
        """Where firmware is mapped."""
        return self.board.isa_memory

    def make_fw_cfg(self) -> None:
        """fw_cfg."""
        board = self.board
        device = create(board, "fw_cfg_io", machine=self.family)
        assert isinstance(device, CatalogueDevice)
        layout = device.layout
        keep = ("fwcfg", "fwcfg.dma") if self.compat.fw_cfg_dma else ("fwcfg",)
        layout.regions = [plan for plan in layout.regions if plan.plain in keep]
        layout.objects = [row for row in layout.objects if not row[0].startswith("\\x2from")]
        board.plug(device, board.sysbus, parent=board.machine, name="fw_cfg")

    # --- devices that both have ---

    def make_ports_80_f0(self) -> None:
        """The two ports that swallow what is written."""
        board = self.board
        owner: QomObject | None = board.machine if self.quirks.ports_80_f0_of_machine else None
        from qshim.devices.build import REGISTERS

        for name, port in (("ioport80", 0x80), ("ioportF0", 0xF0)):
            board.ports.add_subregion(board.io(name, 1, owner, REGISTERS), port)

    def make_basic(self) -> None:
        """Timers, the super I/O, and the keyboard controller."""
        options, make, isa = self.options, self.make_device, self.isa
        self.make_ports_80_f0()
        if options.on("hpet", self.family != "isapc"):
            make("hpet", self.board.sysbus)
        if self.makes_rtc:
            make("mc146818rtc", isa)
        if options.on("pit", True):
            pit = make("isa-pit", isa)
            make("isa-pcspk", isa).properties["pit"] = str(pit.path)
        self.make_super_io()

    @property
    def makes_rtc(self) -> bool:
        """The RTC is a device of the board, not of the south bridge."""
        return not self.quirks.south_bridge_children

    has_floppy = True

    def make_super_io(self) -> None:
        """Serial and parallel ports, the floppy controller, keyboard, mouse, A20."""
        options, make, isa = self.options, self.make_device, self.isa
        serials, parallels = self.ports_asked()
        for index in range(serials):
            serial = make("isa-serial", isa, {"index": str(index), "chardev": f"serial{index}"})
            if index:
                port, line = ((0x2F8, 3), (0x3E8, 4), (0x2E8, 3))[index - 1]
                serial.properties |= {"iobase": str(port), "irq": str(line)}
        for index in range(parallels):
            make("isa-parallel", isa, {"index": str(index), "chardev": f"parallel{index}"})
        if self.has_floppy:
            fdc = make("isa-fdc", isa)
            if self.defaults("floppy"):
                floppy = self.plain("floppy", fdc.buses[0] if fdc.buses else None)
                floppy.properties["drive"] = "floppy0"
        i8042 = options.on("i8042", True)
        vmport = options.auto("vmport")
        if vmport is None:
            vmport = i8042 or not self.quirks.vmport_needs_i8042
        if vmport and not i8042 and self.quirks.vmport_needs_i8042:
            raise MachineError("vmport requires the i8042 controller to be enabled")
        if i8042:
            keyboard = make("i8042", isa)
            if vmport:
                make("vmport", isa)
                make("vmmouse", isa).properties["i8042"] = str(keyboard.path)
            make("port92", isa)

    def make_cdrom(self, bus: Bus, number: int) -> None:
        """The default drive, on IDE bus *number* from 0."""
        drive = self.plain("ide-cd", bus)
        drive.properties |= {"drive": f"ide{number}-cd0", "serial": f"QM{2 * number + 1:05d}"}

    def plain(self, type_name: str, bus: Bus | None) -> Device:
        """A device without memory."""
        return self.make_device(type_name, bus)

    def ports_asked(self) -> tuple[int, int]:
        """How many serial and parallel ports there are."""
        line = self.request.line
        none_serial = sum(1 for option, value in self.plan.others if option == "serial" and value == "none")
        serials = len([s for s in self.plan.serials if s != "none"])
        if not self.plan.serials and not none_serial and self.defaults("isa-serial"):
            serials = 1
        none_parallel = sum(1 for option, value in self.plan.others if option == "parallel" and value == "none")
        parallels = len([p for p in self.plan.parallels if p != "none"])
        if not self.plan.parallels and not none_parallel and self.defaults("isa-parallel"):
            parallels = 1
        if line.nodefaults and not self.plan.serials:
            serials = 0
        return serials, parallels

    def make_vga(self, bus: Bus) -> None:
        """The graphics card."""
        kind = self.plan.vga
        if kind is None:
            if not self.defaults(*_VGA_TYPES):
                return
            kind = "cirrus" if self.compat.cirrus_default else "std"
        if kind == "none":
            return
        type_name = _VGA.get(kind)
        if type_name is None:
            raise MachineError(f"VGA interface '{kind}' is not modelled by qshim")
        self.make_user_device(type_name, bus)

    def make_user_device(self, type_name: str, bus: Bus, properties: dict[str, str] | None = None) -> Device:
        """A device that users could add as well."""
        return instantiate(self.board, type_name, bus, properties=properties)

    def make_gpios(self) -> None:
        """Interrupt lines that belong to nobody."""
        count = self.gpios
        options = self.options
        if not options.on("hpet", True):
            count -= self.hpet_gpios
            if not options.on("pit", True) and self.family == "pc" and not self.quirks.south_bridge_children:
                count -= 1
        if not options.on("pic", True):
            count -= 1
        if not options.on("i8042", True):
            count -= 2
        if not self.has_acpi:
            count -= self.acpi_gpios
        for number in range(count):
            self.board.unattached.add_child(f"non-qdev-gpio[{number}]", QomObject("irq"))

    hpet_gpios = 0
    acpi_gpios = 0

    @property
    def has_acpi_option(self) -> bool:
        """-machine acpi"""
        return self.options.on("acpi", True)

    def make_pic(self) -> None:
        """Two interrupt controllers."""
        if self.options.on("pic", True):
            make_pics(self)

    def make_dma(self) -> None:
        """Two DMA controllers that are devices of the board."""
        make_dma(self)

    def make_pci_memory(self) -> None:
        """The address space of PCI, below everything else."""
        board = self.board
        board.pci_memory = board.container("pci", SPACE)
        board.system.add_subregion(board.pci_memory, 0, -1)

    def make_nvdimm(self) -> None:
        """Registers of nvdimm."""
        if self.board.nvdimm:
            board = self.board
            from qshim.devices.build import REGISTERS

            board.ports.add_subregion(board.io("nvdimm-acpi-io", 4, board.machine, REGISTERS), 0xA18)

    def cdrom(self) -> bool:
        """The default CD-ROM drive is there."""
        return self.defaults("ide-cd", "ide-hd", "scsi-cd", "scsi-hd") and not any(
            drive.values.get("media") == "cdrom" for drive in self.plan.drives
        )

    def legacy_hotplug(self) -> None:
        """CPU hotplug registers of old machine types."""
        self.board.legacy_cpu_hotplug = self.compat.acpi_cpu_legacy

    def add_memory_hotplug(self) -> None:
        """Registers by which the guest hears of DIMMs: they belong to the PM device (2.3)."""
        from qshim.devices.build import REGISTERS

        board = self.board
        if board.device_memory is None or not self.plan.slots:
            return
        owner = next((d for d in board.devices if d.type_name in ("PIIX4_PM", "ICH9-LPC")), None)
        if owner is None or owner.text_of("memory-hotplug-support", "on") in ("off", "false"):
            return
        board.ports.add_subregion(board.io("acpi-mem-hotplug", 0x18, owner, REGISTERS), 0xA00)
