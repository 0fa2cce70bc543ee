"""virt of qemu-system-aarch64 and qemu-system-arm: everything in QEMU's order (spec/virt-boards.md 2, 5)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType

from qshim.devices.arm.cpu import ArmCpu
from qshim.devices.catalogue import CatalogueDevice, CatalogueFunction
from qshim.devices.chipset.gpex import GpexHost
from qshim.devices.errors import DeviceError
from qshim.devices.memory.placement import DeviceMemory
from qshim.devices.qdev import Device
from qshim.devices.sysbus import place
from qshim.machines.arm import layouts as at
from qshim.machines.arm.compat import Compat, compat_of
from qshim.machines.arm.cpus import ArmCpuModel, arm_cpu, check_valid
from qshim.machines.arm.gic import FIVE, GICV3_STEP, GicChoice, check_gic_version, choose_gic
from qshim.machines.arm.layouts import HighMap, high_map
from qshim.machines.errors import MachineError
from qshim.machines.firmware import check_flash_units, load_into_flash, make_flash_pair
from qshim.machines.machine import Machine, Request
from qshim.machines.nics import make_nics
from qshim.machines.options import MachineOptions
from qshim.machines.platform_bus import make_platform_bus
from qshim.machines.virt_parts import cpu_objects, make_fw_cfg
from qshim.memory import MemoryRegion
from qshim.units import GIB, KIB, SPACE, up
from qshim.versions.virt import virt_quirks

__all__ = ["ArmVirt"]

TAG_SPACE = (SPACE - 1) // 32
LINKER_COMMAND = 128
"""Bytes of a command that links ACPI tables."""
TABLES, TABLES_SLOT, TABLES_TEN_CPUS = 9130, 512, 1456
"""Bytes of ACPI tables: of every machine, of a slot for NVDIMMs, of ten CPUs; fitted to where QEMU needs more room."""
MEMORY_EVENT, NVDIMM_EVENT = 1, 4
"""Bits of what an event device tells of."""
V2M_RESERVED, ITS_RESERVED = "0x8020000:0x8020fff", "0x8090000:0x809ffff"
"""Where devices write their interrupts to, as `info qtree` prints it."""
_NO_ITS_WITH_5 = "GICv5 + ITS is not yet implemented."
_MSI = ("auto", "gicv2m", "its", "off")


class ArmVirt(Machine):
    """A virt board."""

    family = "virt"
    has_device_tree = True
    ram_id = "mach-virt.ram"
    levels = ("socket", "cluster", "core", "thread")
    adds_memory = True
    default_nic = "virtio-net-pci"
    rsdp_size = 36
    boot_files = MappingProxyType({
        "dtb": "Couldn't open dtb file {}", "kernel": "could not load kernel '{}'",
        "initrd": "could not load initrd '{}'",
    })  # fmt: skip

    compat: Compat
    cpu: ArmCpuModel
    gic: GicChoice
    high: HighMap

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        self.virt = virt_quirks(self.quirks.label)
        self.most_cpus = self.compat.most_cpus
        self.secure_memory: MemoryRegion | None = None
        self.tag_roots: tuple[MemoryRegion, ...] = ()
        self.has_firmware = False

    @staticmethod
    def compat_of(name: str) -> Compat:
        """What machine type *name* contains."""
        return compat_of(name)

    # --- options ---

    @cached_property
    def secure(self) -> bool:
        """-machine secure"""
        return self.options.on("secure", False)

    @cached_property
    def virtualization(self) -> bool:
        """-machine virtualization"""
        return self.options.on("virtualization", False)

    @cached_property
    def ged(self) -> bool:
        """ACPI events come from a generic event device."""
        return self.compat.ged and self.cpu.is_64 and self.has_firmware and self.has_acpi

    @cached_property
    def msi(self) -> str:
        """What takes message-signalled interrupts: gicv2m, its or off."""
        asked = self.options.text("msi")
        if asked not in ("", "auto"):
            return asked
        if self.virt.has_msi_option and not asked and self.options.on("its", False):
            return "its"
        if self.gic.version == 2:
            return "gicv2m"
        # who says msi=auto has an ITS whatever its= says
        its = self.compat.emulated_its and (asked == "auto" or self.options.on("its", self.compat.its))
        return "its" if self.gic.has_redistributors and its else "off"

    def check_option(self, options: MachineOptions, key: str, value: str) -> None:
        """Whether the board takes *value* for property *key*."""
        if key == "gic-version":
            check_gic_version(value, self.virt)
        if key == "msi" and value not in _MSI:
            raise MachineError("Invalid msi value", f"Valid values are {', '.join(_MSI)}")
        if key == "iommu" and value not in ("none", "smmuv3"):
            raise MachineError("Invalid iommu value", "Valid values are none, smmuv3.")
        if key == "x-oem-id" and len(value) > 6:
            raise MachineError("User specified oem-id value is bigger than 6 bytes in size")
        if key == "x-oem-table-id" and len(value) > 8:
            raise MachineError("User specified oem-table-id value is bigger than 8 bytes in size")
        if key == "virtio-mmio-transports" and int(value, 0) > at.TRANSPORTS:
            raise MachineError(f"virtio-mmio-transports must not exceed {at.TRANSPORTS}")
        if key == "highmem-mmio-size":
            size = options.size(key) or 0
            if size & size - 1:
                raise MachineError("highmem-mmio-size is not a power of 2")
            if size < at.HIGH_MMIO_SIZE:
                gib = at.HIGH_MMIO_SIZE // GIB
                raise MachineError(f"highmem-mmio-size cannot be set to a lower value than the default ({gib} GiB)")

    # --- the board ---

    def read_cpu(self) -> None:
        """-cpu."""
        text = "max" if self.request.line.cpu is None and not self.emulated else self.request.line.cpu
        self.cpu = arm_cpu(text, self.request.target, self.quirks.label, self.board.types)
        self.cpu_type = self.cpu.type_name

    def populate(self) -> None:
        """Everything in QEMU's order."""
        options = self.options
        self.has_acpi = options.on("acpi", True)
        check_valid(self.cpu, self.request.target, self.quirks.label, emulated=self.emulated)
        self.arrange()
        asked_for_its = self.options.text("msi") == "its" or (
            self.virt.has_msi_option and not self.options.text("msi") and self.options.on("its", False)
        )
        if options.text("gic-version") == "x-5" and asked_for_its:
            raise MachineError(_NO_ITS_WITH_5)
        self.gic = choose_gic(
            options.text("gic-version"), self.smp.max_cpus, self.virt,
            virtualization=self.virtualization, secure=self.secure, emulated=self.emulated,
        )  # fmt: skip
        if self.msi == "its" and not self.gic.has_redistributors:
            raise MachineError("GICv2 + ITS is an invalid configuration.")
        if self.secure:
            self.secure_memory = self.board.container("secure-memory", SPACE, self.board.machine)
            self.secure_memory.add_subregion(self.board.system, 0, -1)
        self.make_flash()
        self.check_cpus()
        self.make_cpus()
        if self.gic.version == FIVE and not self.cpu.is_64:
            raise MachineError("Using GICv5 but guest CPU does not support it")
        if self.ram is not None:
            self.board.system.add_subregion(self.ram, at.RAM)
        self.make_gic()
        self.make_uarts()
        self.make_tags()
        self.put("pl031", {"pl031": at.RTC})
        self.make_pci()
        self.make_gpio()
        self.make_transports()
        make_fw_cfg(self.board, at.FW_CFG_DATA, at.FW_CFG_CTL, at.FW_CFG_DMA)
        self.make_platform_bus()
        if options.on("nvdimm", False):
            from qshim.devices.build import REGISTERS

            registers = self.board.io("nvdimm-acpi-io", 4, self.board.machine, REGISTERS)
            self.board.system.add_subregion(registers, at.NVDIMM_ACPI)
        check_flash_units(self)

    def put(
        self, type_name: str, places: Mapping[str, int], *, into: MemoryRegion | None = None
    ) -> CatalogueDevice:
        """A device of the board with its regions at *places*."""
        return place(self.board, type_name, places, machine="virt", into=into)

    def arrange(self) -> None:
        """Device memory and the high map.

        :raises MachineError: they do not fit.
        """
        options, board = self.options, self.board
        highmem = options.on("highmem", True)
        bits = self.cpu.bits if highmem else 32
        wanted = {
            "redist2": options.on("highmem-redists", True),
            "ecam": options.on("highmem-ecam", self.compat.high_ecam),
            "mmio": options.on("highmem-mmio", True),
        }
        compact = options.on("compact-highmem", self.compat.compact_highmem)
        self.high = high_map(
            self.ram_size, self.max_memory, self.plan.slots, bits, wanted, compact=compact, cxl=self.virt.has_cxl,
            mmio_size=options.size("highmem-mmio-size") or at.HIGH_MMIO_SIZE,
        )  # fmt: skip
        board.maximum_memory, board.slots = self.max_memory, self.plan.slots
        board.takes_dimms = True
        board.nvdimm = options.on("nvdimm", False)
        board.no_device_memory = self.virt.no_device_memory or board.no_device_memory
        board.no_nvdimm_text = "nvdimm is not enabled: add 'nvdimm=on' to '-M'"
        board.takes_cold_nvdimms = self.virt.nvdimm_without_ged
        board.numa_nodes = self.numa.count
        if self.high.device_memory is not None:
            board.device_memory = DeviceMemory(board, *self.high.device_memory, self.plan.slots)

    def make_flash(self) -> None:
        """Two flash devices, the first in secure memory where there is some, and firmware in it."""
        low, high = make_flash_pair(self, at.FLASH_SIZE, self.virt.flash_size_text)
        (self.secure_memory or self.board.system).add_subregion(low.region, at.FLASH0)
        self.board.system.add_subregion(high.region, at.FLASH1)
        self.has_firmware = load_into_flash(self, low)

    def check_cpus(self) -> None:
        """Whether the interrupt controller does for all CPUs.

        :raises MachineError: it does not.
        """
        second = self.high.enabled["redist2"]
        most = self.gic.most_cpus(
            second_region=second or self.virt.redist2_always_counts, machine=self.compat.most_cpus
        )
        most = min(most, self.compat.most_cpus)
        asked = self.smp.max_cpus
        if asked > most:
            text = f"Number of SMP CPUs requested ({asked}) exceeds max CPUs supported by machine 'mach-virt' ({most})"
            hint = self.virt.redist2_hint and self.gic.version != 2 and not second
            raise MachineError(text, *(["Try 'highmem-redists=on' for more CPUs"] if hint else []))

    def make_cpus(self) -> None:
        """CPUs with what each sees."""
        if self.options.on("mte", False):
            self.make_tag_roots()
        objects = cpu_objects(self.board, self.cpu_type)
        secure = self.secure_memory if self.cpu.el3 else None
        for index in range(self.smp.cpus):
            cpu = ArmCpu(
                self.board, self.cpu_type, index, secure=secure, tags=self.tag_roots, objects=objects
            )
            self.board.plug(cpu)
            self.cpus.append(cpu)

    # --- memory tags ---

    def make_tag_roots(self) -> None:
        """Where CPUs see tags.

        :raises MachineError: the CPU has none.
        """
        if not self.cpu.tags:
            raise MachineError("MTE requested, but not supported by the guest CPU")
        board = self.board
        plain = board.container("tag-memory", TAG_SPACE, board.machine)
        self.tag_roots = (plain,)
        if self.secure:
            secure = board.container("secure-tag-memory", TAG_SPACE, board.machine)
            secure.add_subregion(plain, 0, -1)
            self.tag_roots = (plain, secure)

    def make_tags(self) -> None:
        """Tags of RAM and of secure RAM: one byte for 32."""
        board = self.board
        if self.secure and self.tag_roots:
            name = "mach-virt.secure-tag"
            tags = board.ram(name, at.SECURE_RAM_SIZE // 32, block=name)
            self.tag_roots[1].add_subregion(tags, at.SECURE_RAM // 32)
        if self.tag_roots:
            name = "mach-virt.tag"
            tags = board.ram(name, self.ram_size // 32, block=name)
            self.tag_roots[0].add_subregion(tags, at.RAM // 32)

    # --- devices ---

    def make_gic(self) -> None:
        """The interrupt controller, and what takes message-signalled interrupts."""
        if self.gic.version == 2:
            self._gicv2()
        elif self.gic.has_redistributors:
            self._gicv3()
        else:
            self._gicv5()
        if self.msi == "gicv2m":
            self.put("arm-gicv2m", {"gicv2m": at.GIC_V2M})
        elif self.msi == "its" and self.compat.emulated_its:
            self._its()
        self.board.has_msi = self.virt.always_has_msi or self.msi != "off"

    def _gicv2(self) -> None:
        where = {"gic_dist": at.GIC_DIST}
        properties = {"has-security-extensions": self._text(self.secure),
                      "has-virtualization-extensions": self._text(self.virtualization)}  # fmt: skip
        gic = self._controller("arm_gic", where, properties)
        system, made = self.board.system, gic.made
        system.add_subregion(made["gic_cpu[0]"], at.GIC_CPU)
        if self.virtualization:
            system.add_subregion(made["gic_viface[0]"], at.GIC_VIFACE)
            system.add_subregion(made["gic_vcpu[0]"], at.GIC_VCPU)

    def _gicv3(self) -> None:
        from qshim.devices.arm.gic import GicV3

        choice, cpus = self.gic, self.smp.cpus
        low = min(cpus, choice.low_cpus)
        counts = [low]
        if cpus > low:
            if not self.high.enabled["redist2"]:
                raise MachineError(
                    f"Capacity of the redist regions({choice.low_cpus}) does not match the number of vcpus({cpus})"
                )
            counts.append(cpus - low)

        def tell(device: CatalogueDevice) -> None:
            assert isinstance(device, GicV3)
            # without an ITS of the release's own there are no virtual messages, which take room
            step = choice.step if self.compat.emulated_its else GICV3_STEP
            device.cpus, device.counts, device.step = cpus, tuple(counts), step

        properties = {
            "revision": str(choice.version), "has-security-extensions": self._text(self.secure),
            "has-nmi": self._text(self.cpu.nmi and self.emulated), "has-lpi": self._text(self.compat.emulated_its),
        }  # fmt: skip
        gic = place(
            self.board, "arm-gicv3", {"gicv3_dist": at.GIC_DIST}, machine="virt,gic-version=3",
            properties=properties, tell=tell,
        )  # fmt: skip
        bases = (at.GIC_REDIST, self.high.bases["redist2"])
        for number in range(len(counts)):
            self.board.system.add_subregion(gic.made[GicV3.region_name(number)], bases[number])
        if not self.compat.emulated_its:
            gic.properties["sysmem"] = ""
        else:
            gic.spaces.append(self.board.space(self.board.system, "gicv3-its-sysmem"))

    def _gicv5(self) -> None:
        gic = self._controller("arm-gicv5", {"gicv5-irs-1": at.GICV5_IRS}, {})
        gic.spaces.append(self.board.space(self.board.system, "gicv5-sysmem"))

    def _controller(self, type_name: str, where: dict[str, int], properties: dict[str, str]) -> CatalogueDevice:
        def tell(device: CatalogueDevice) -> None:
            device.cpus = self.smp.cpus  # type: ignore[attr-defined]

        return place(self.board, type_name, where, machine="virt", properties=properties, tell=tell)

    def _its(self) -> None:
        its = place(self.board, "arm-gicv3-its", {"gicv3_its": at.GIC_ITS}, machine="virt,gic-version=3")
        its.properties["parent-gicv3"] = self.board.unattached.children[f"device[{self.smp.cpus}]"].path or ""

    @staticmethod
    def _text(on: bool) -> str:
        return "on" if on else "off"

    def make_uarts(self) -> None:
        """One UART, a second one for the secure world or a second -serial; secure RAM."""
        second = not self.secure and self.virt.second_uart and len(self.serials) > 1
        if second:
            self._uart(at.UART1, 1)
        self._uart(at.UART0, 0)
        if self.secure_memory is not None:
            ram = self.board.ram("virt.secure-ram", at.SECURE_RAM_SIZE, block="virt.secure-ram")
            self.secure_memory.add_subregion(ram, at.SECURE_RAM)
            self._uart(at.UART1, 1, self.secure_memory)

    @property
    def serials(self) -> list[str]:
        """-serial, in order."""
        return list(self.plan.serials)

    def _uart(self, address: int, number: int, into: MemoryRegion | None = None) -> None:
        uart = self.put("pl011", {"pl011": address}, into=into)
        default = number == 0 and not self.request.line.nodefaults and not self.plan.serials
        if default or (number < len(self.serials) and self.serials[number] != "none"):
            uart.properties["chardev"] = f"serial{number}"

    def make_pci(self) -> None:
        """The host bridge with its windows, network cards, and what translates for functions."""
        board, system = self.board, self.board.system
        host = GpexHost.recorded_on(board, machine="virt")
        host.maps_bars_at_0 = True
        if self.options.on("default-bus-bypass-iommu", False):
            host.properties["bypass-iommu"] = "on"
        board.plug(host, board.sysbus)
        self.host = host
        firmware_32 = self.has_firmware and not self.cpu.is_64
        if self.high.enabled["ecam"] and not firmware_32:
            base, size = self.high.bases["ecam"], at.HIGH_ECAM_SIZE
        else:
            base, size = at.LOW_ECAM, at.LOW_ECAM_SIZE
        system.add_subregion(board.alias("pcie-ecam", host.ecam, 0, size, host), base)
        window = board.alias("pcie-mmio", host.window, at.PCI_MEMORY, at.PCI_MEMORY_SIZE, host)
        system.add_subregion(window, at.PCI_MEMORY)
        if self.high.enabled["mmio"]:
            start = self.high.bases["mmio"]
            size = self.options.size("highmem-mmio-size") or at.HIGH_MMIO_SIZE
            system.add_subregion(board.alias("pcie-mmio-high", host.window, start, size, host), start)
        system.add_subregion(host.ports, at.PCI_PORTS)
        if self.virt.has_cxl:
            board.cxl_host = board.container("cxl_host_reg", at.CXL_SIZE, board.machine)
            system.add_subregion(board.cxl_host, self.high.bases["cxl"])
        make_nics(self, host.buses[0])
        if self.options.text("iommu", "none") == "smmuv3":
            self._smmu(host)

    def _smmu(self, host: GpexHost) -> None:
        smmu = place(self.board, "arm-smmuv3", {"arm-smmuv3": at.SMMU}, machine="virt,iommu=smmuv3")
        smmu.properties["primary-bus"] = str(host.buses[0].path)
        if not self.compat.nested_smmu:
            smmu.properties["stage"] = ""
        if self.secure_memory is not None and self.virt.smmu_sees_memory:
            smmu.properties["secure-memory"] = f"{self.board.machine.path}/secure-memory[0]"
            smmu.spaces.append(self.board.space(self.secure_memory, "smmu-secure-memory-view"))

    def make_gpio(self) -> None:
        """The event device, or a power key on a GPIO controller; the same for the secure world."""
        if self.ged:
            self._make_ged()
        else:
            self.put("pl061", {"pl061": at.GPIO})
            self.put("gpio-key", {})
            self.board.refuses_dimms = "memory hotplug is not enabled: missing acpi-ged device"
        if self.options.on("mte", False) and self.ged:
            self.board.refuses_dimms = "memory hotplug is not enabled: MTE is enabled"
        if self.secure_memory is not None and self.compat.secure_gpio:
            self.put("pl061", {"pl061": at.SECURE_GPIO}, into=self.secure_memory)
            self.put("gpio-pwr", {})

    def _make_ged(self) -> None:
        def tell(device: CatalogueDevice) -> None:
            recorded = next(line for line in device.layout.lines if line.startswith("ged-event = "))
            events = int(recorded.split()[2]) & ~(MEMORY_EVENT | NVDIMM_EVENT)
            if self.plan.slots:
                events |= MEMORY_EVENT
            else:
                device.layout.drop("acpi-mem-hotplug")
            if self.board.nvdimm:
                events |= NVDIMM_EVENT
            device.properties["ged-event"] = str(events)
            device.properties["bus"] = str(self.host.buses[0].path)

        where = {"memhp container": at.GED_MEMORY, "acpi-ged": at.GED}
        place(self.board, "acpi-ged", where, machine="virt,firmware", tell=tell)

    def make_transports(self) -> None:
        """virtio over MMIO."""
        count = int(self.options.text("virtio-mmio-transports", str(at.TRANSPORTS)), 0)
        for number in range(count):
            place(
                self.board, "virtio-mmio", {"virtio-mmio": at.VIRTIO + number * at.VIRTIO_STEP}, machine="virt"
            )

    def make_platform_bus(self) -> None:
        """Room for devices that users put on the system bus."""
        self.platform_bus = make_platform_bus(self.board, at.PLATFORM_BUS)

    def check_added(self, device: Device) -> None:
        """Registers on a platform bus get their place once they are there; an IOMMU leaves interrupts alone."""
        self.platform_bus.expect(device)
        on_transport = device.type_name.startswith("virtio-") and device.type_name.endswith("-device")
        # an IOMMU that looks at secure memory keeps it alive
        seen = self.virt.smmu_sees_memory and self.options.text("iommu") == "smmuv3"
        if on_transport and self.secure and not self.cpu.el3 and not seen:
            raise DeviceError(
                f"{device.type_name} has no name where secure=on meets a CPU with has_el3=off: QEMU aborts here"
            )
        if device.type_name != "virtio-iommu-pci":
            return
        present = {other.type_name for other in self.board.devices}
        if self.options.text("iommu", "none") != "none" or device.type_name in present:
            raise DeviceError("virt machine does not support multiple IOMMUs")
        if self.msi != "gicv2m" and isinstance(device, CatalogueFunction):
            lines = device.layout.lines
            if self.msi == "its":
                device.layout.lines = tuple(line.replace(V2M_RESERVED, ITS_RESERVED) for line in lines)
            else:
                device.layout.lines = tuple(_without_reserved(line) for line in lines)

    def added(self, device: Device) -> None:
        """Registers of a device on the system bus get a place on the platform bus."""
        if device.bus is self.board.sysbus:
            self.platform_bus.take(device)

    # --- ACPI ---

    def acpi_tables(self) -> int:
        """Bytes of the ACPI tables: up to 512 CPUs fit, but not with the most slots that NVDIMMs may have, too.

        :raises MachineError: QEMU aborts.
        """
        if self.options.on("ras", False) and not self.ged:
            raise MachineError("ras=on needs firmware and a 64-bit CPU: without an event device QEMU aborts here")
        if not (self.board.nvdimm and self.ged):
            return 128 * KIB
        return up(TABLES + TABLES_SLOT * self.plan.slots + TABLES_TEN_CPUS * self.smp.max_cpus // 10, 128 * KIB)

    def table_loader(self) -> int:
        """Bytes of the commands that link them."""
        types = {device.type_name for device in self.board.devices}
        commands = self.virt.linker_commands
        commands += 2 * self.compat.cpu_tables + 2 * bool(self.numa.nodes) + 2 * bool(self.numa.distances)
        hmat = self.numa.hmat or (bool(self.numa.nodes) and self.options.on("hmat", False))
        commands += 2 * hmat + 2 * ("virtio-iommu-pci" in types) + 2 * ("nvdimm" in types)
        if self.board.nvdimm and self.plan.slots:
            commands += 4
        commands += 2 * (self.virt.has_cxl and self.options.on("cxl", False))
        if self.options.on("ras", False):
            commands += self.compat.ras_commands
        return up(commands * LINKER_COMMAND, 4 * KIB)


def _without_reserved(line: str) -> str:
    """*line* of an IOMMU that keeps nothing clear of translation."""
    if line.startswith("reserved-regions = "):
        return "reserved-regions = <null>"
    return "len-reserved-regions = 0 (0x0)" if line.startswith("len-reserved-regions = ") else line
