"""pc (i440FX) and q35: what both have, and each board's own order (spec/x86-boards.md 2, 3)."""

from __future__ import annotations

from collections.abc import Sequence

from qshim.argv.errors import OptionError
from qshim.devices.catalogue import CatalogueDevice, CatalogueFunction, create, instantiate
from qshim.devices.memory.placement import DeviceMemory
from qshim.devices.qdev import Bus, Device
from qshim.machines.layouts import (
    AMD_HOLE, FOUR_GIB, GIB, ISA_BIOS_END, KIB, MIB, OPTION_ROMS, OPTION_ROMS_SIZE, TIB, Layout, MachineError,
    device_memory, split, up,
)  # fmt: skip
from qshim.machines.pairs import make_dma, make_pics
from qshim.machines.x86 import X86Machine
from qshim.memory import MemoryRegion
from qshim.qom import QomObject
from qshim.units import SPACE

__all__ = ["PcI440fx", "PcQ35"]

_VGA = {"std": "VGA", "cirrus": "cirrus-vga", "vmware": "vmware-svga", "qxl": "qxl-vga", "virtio": "virtio-vga"}
_VGA_TYPES = frozenset(
    ("isa-cirrus-vga", "cirrus-vga", "VGA", "isa-vga", "vmware-svga", "qxl-vga", "virtio-vga", "ati-vga",
     "vhost-user-vga", "virtio-vga-gl")
)  # fmt: skip
_NICS = {"virtio": "virtio-net-pci", "virtio-net": "virtio-net-pci", "e1000-82540em": "e1000"}
EEPROMS = 8
MAX_FIRMWARE = 8 * MIB


class Pc(X86Machine):
    """A board with PCI, ISA and ACPI."""

    ram_id = "pc.ram"
    most_cpus = 255

    @property
    def levels(self) -> tuple[str, ...]:  # type: ignore[override]
        """What a CPU's place consists of."""
        if self.quirks.smp_is_strict:
            return ("socket", "die", "module", "core", "thread")
        return ("socket", "die", "core", "thread")

    hotplug_cpus = True
    hole64_size = 2 * GIB
    default_nic = "e1000"
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
            found = device_memory(end, self.ram_size, self.max_memory, self.plan.slots if self.compat.slot_alignment else 0)
            hole = found[0] + (0 if self.compat.broken_reserved_end else found[1])
        return Layout(below, above, start, found, up(hole, GIB))

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
        layout = self.arrange()
        self.map_ram(layout)
        board.maximum_memory, board.slots = self.max_memory, self.plan.slots
        board.takes_dimms = True
        board.nvdimm = self.options.on("nvdimm", False)
        board.numa_nodes = self.numa.count
        if not self.has_acpi:
            board.refuses_dimms = "memory hotplug is not enabled: missing acpi device or acpi disabled"
        if self.max_memory > self.ram_size:
            if not self.compat.reserved_memory:
                raise MachineError(f"\"-memory 'slots|maxmem'\" is not supported by: {self.request.name}")
            self.device_memory_limits()
            assert layout.device_memory is not None
            base, size = layout.device_memory
            if base + size >= SPACE:
                raise MachineError(f"unsupported amount of maximum memory: {self.max_memory:x}")
            board.device_memory = DeviceMemory(board, base, size, self.plan.slots)
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

    def make_firmware(self) -> None:
        """The BIOS, or flash drives in its place."""
        flashes = self.flash_images()
        if flashes:
            self.make_flash(flashes)
            return
        self.make_bios()

    def make_bios(self) -> None:
        """pc.bios at the end of 4 GiB, and its last 128 KiB below 1 MiB."""
        board = self.board
        default, size = self.default_bios
        data, length = self.load_bios(default, size)
        bios = board.ram("pc.bios", length, block="pc.bios", readonly=self.roms_are_readonly)
        self.fill(bios, data)
        shown = min(length, 128 * KIB)
        alias = board.alias("isa-bios", bios, length - shown, shown)
        alias.set_readonly(self.roms_are_readonly)
        self.rom_memory.add_subregion(alias, ISA_BIOS_END - shown, 1)
        self.rom_memory.add_subregion(bios, FOUR_GIB - length)

    @property
    def default_bios(self) -> tuple[str, int]:
        """Name and size."""
        return ("bios.bin", 128 * KIB) if self.compat.small_bios else ("bios-256k.bin", 256 * KIB)

    def fill(self, region: MemoryRegion, data: bytes | None) -> None:
        """Let *region* hold *data*, or ones where there is none; host memory is used when it is looked at."""
        block = region.ram_block
        if block is not None and data:
            block.write(0, data)
        elif block is not None:
            block.write(0, b"\xff" * region.size)

    def flash_images(self) -> Sequence[tuple[int, bytes]]:
        """Contents of -drive if=pflash by unit.

        :raises OptionError: an image cannot be read.
        """
        found: dict[int, bytes] = {}
        for drive in self.plan.drives:
            if drive.values.get("if") != "pflash":
                continue
            unit = int(drive.values.get("unit", drive.values.get("index", str(len(found)))))
            path = drive.values.get("file", "")
            try:
                found[unit] = self.request.open_image(path)
            except OSError as error:
                raise OptionError(f"{drive.where}: Could not open '{path}': {error.strerror}") from None
        if 1 in found and 0 not in found:
            raise MachineError("pflash1 requires pflash0")
        return sorted(found.items())

    def make_flash(self, images: Sequence[tuple[int, bytes]]) -> None:
        """Flash from the end of 4 GiB downwards."""
        from qshim.devices.memory.flash import Flash

        board = self.board
        total = 0
        for unit, data in images:
            if not data or len(data) % 4096:
                raise MachineError(
                    f"system firmware block device pflash{unit} has invalid size {len(data)}",
                    "info: its size must be a non-zero multiple of 0x1000",
                )
            total += len(data)
            if total > (self.options.size("max-fw-size") or MAX_FIRMWARE):
                raise MachineError(
                    f"combined size of system firmware exceeds {self.options.size('max-fw-size') or MAX_FIRMWARE} bytes"
                )
            name = f"system.flash{unit}"
            flash = Flash(board, data, name)
            board.plug(flash, board.sysbus, parent=board.machine, name=name)
            assert flash.region is not None
            board.system.add_subregion(flash.region, FOUR_GIB - total)
            if unit == 0:
                self._flash_bios(flash.region, data)

    def _flash_bios(self, flash: MemoryRegion, data: bytes) -> None:
        board = self.board
        shown = min(len(data), 128 * KIB)
        if self.quirks.pflash_bios_alias and self.compat.isa_bios_alias:
            bios = board.alias("isa-bios", flash, len(data) - shown, shown)
            bios.set_readonly(True)
        else:
            bios = board.ram("isa-bios", shown, block="isa-bios", readonly=True)
            self.fill(bios, data[-shown:])
        self.rom_memory.add_subregion(bios, ISA_BIOS_END - shown, 1)

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

    def defaults(self, *types: str) -> bool:
        """Whether the board adds a default device of this kind: nobody said -nodefaults or gave one."""
        if self.request.line.nodefaults:
            return False
        return not any(plan.driver in types for plan in self.plan.devices)

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

    def make_nics(self, bus: Bus) -> None:
        """Network cards of -nic and -net."""
        for model in self.nic_models():
            type_name = _NICS.get(model, model)
            device = self.make_user_device(type_name, bus)
            if not self.plan.nets:
                device.properties["netdev"] = "hub0port0"

    def nic_models(self) -> list[str]:
        """Models of the cards, in order; the board's own where none was named."""
        from qshim.argv.opts import members

        models = []
        for option, value in self.plan.nets:
            values = members(value, "type").values
            if option == "netdev" or (option == "net" and values.get("type") != "nic"):
                continue
            if option == "nic" and values.get("type") == "none":
                continue
            models.append(values.get("model", self.default_nic))
        if not self.plan.nets and not self.request.line.nodefaults:
            models.append(self.default_nic)
        return models

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
            self.make_memory_around_host()
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
        self.make_nics(bus)
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

    def make_memory_around_host(self) -> None:
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
        return self.board.plug(device, bus)

    def make_eeproms(self, pm: Device) -> None:
        """SMBus EEPROMs."""
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
        add_memory_hotplug(self)


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
    has_acpi_gpios = 0
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
        self.make_nics(bus)
        self.make_nvdimm()
        add_memory_hotplug(self)
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


def add_memory_hotplug(machine: Pc) -> None:
    """Registers by which the guest hears of DIMMs: they belong to the PM device (2.3)."""
    from qshim.devices.build import REGISTERS

    board = machine.board
    if not machine.has_acpi or board.device_memory is None or not machine.plan.slots:
        return
    owner = next((d for d in board.devices if d.type_name in ("PIIX4_PM", "ICH9-LPC")), None)
    if owner is None or owner.text_of("memory-hotplug-support", "on") in ("off", "false"):
        return
    board.ports.add_subregion(board.io("acpi-mem-hotplug", 0x18, owner, REGISTERS), 0xA00)
