"""virt of qemu-system-riscv64 and qemu-system-riscv32: everything in QEMU's order (spec/virt-boards.md 9 to 13)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from qshim.devices.catalogue import CatalogueDevice
from qshim.devices.chipset.gpex import GpexHost
from qshim.devices.qdev import Device
from qshim.devices.sysbus import place
from qshim.machines.errors import MachineError
from qshim.machines.firmware import check_flash_units, make_flash_pair
from qshim.machines.machine import Machine, Request
from qshim.machines.nics import nics_of
from qshim.machines.options import MachineOptions
from qshim.machines.platform_bus import make_platform_bus
from qshim.machines.riscv import layouts as at
from qshim.machines.riscv.cpus import check_width, cpu_features, has_hypervisor, is_wide, riscv_cpu
from qshim.machines.riscv.sockets import Controllers, InterruptDevices, make_harts, sockets_of, warnings
from qshim.machines.virt_parts import check_features, make_fw_cfg
from qshim.units import GIB, KIB
from qshim.versions.riscv import riscv_quirks
from qshim.versions.virt import virt_quirks

__all__ = ["RiscvVirt"]

_CONTROLLERS = ("none", "aplic", "aplic-imsic")
_ANNOUNCED_RAM = 10 * GIB
"""What machines of 32 bits say they have where they have more."""


class RiscvVirt(Machine):
    """The virt board."""

    family = "virt"
    has_device_tree = True
    ram_id = "riscv_virt_board.ram"
    most_cpus = at.MOST_HARTS
    default_nic = ""
    rsdp_size = 36
    boot_files = MappingProxyType({
        "dtb": "Unable to get size of device tree file '{}'\nload_device_tree() failed",
        "kernel": "{}: No such file or directory\ncould not load kernel '{}'",
        "initrd": "could not load ramdisk '{}'",
    })  # fmt: skip

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        self.riscv = riscv_quirks(self.quirks.label)
        self.wide = True
        """Its harts have 64 bits."""
        self.levels = ("socket", "cluster", "core", "thread") if self.riscv.harts_have_places else ("core",)

    # --- options ---

    def check_option(self, options: MachineOptions, key: str, value: str) -> None:
        """Whether the board takes *value* for property *key*."""
        if key == "aia" and value not in _CONTROLLERS:
            raise MachineError(
                "Invalid AIA interrupt controller type", "Valid values are none, aplic, and aplic-imsic."
            )
        if key == "aia-guests" and not 0 <= _leading_number(value) <= at.MOST_GUESTS:
            raise MachineError(
                "Invalid number of AIA IMSIC guests", f"Valid values be between 0 and {at.MOST_GUESTS}."
            )

    @property
    def smp_levels(self) -> tuple[str, ...]:
        """Clusters are told, but not asked for."""
        return ()

    @property
    def legacy_numa_memory(self) -> bool:
        """-numa node,mem= is taken."""
        return True

    def cpu_place(self, index: int) -> Mapping[str, int]:
        """Where hart *index* sits; before 11.1 each is a core of its own."""
        return self.smp.place(index) if self.riscv.harts_have_places else {"core": index}

    def default_node(self, index: int, nodes: int) -> int:
        """As many harts for each node, the rest for the last one."""
        if self.smp.cpus < nodes:
            told = self.smp.max_cpus if self.riscv.node_limit_is_called_maxcpus else self.smp.cpus
            raise MachineError(f"Number of NUMA nodes ({nodes}) cannot exceed the number of available CPUs ({told}).")
        return min(index // (self.smp.cpus // nodes), nodes - 1)

    # --- the board ---

    def read_cpu(self) -> None:
        """-cpu."""
        self.cpu_type = riscv_cpu(self.request.line.cpu, self.request.target, self.quirks.label)
        self.wide = is_wide(self.cpu_type, self.request.target)

    def populate(self) -> None:
        """Everything in QEMU's order."""
        self.has_acpi = self.riscv.has_acpi and self.options.on("acpi", True)
        self.board.numa_nodes = self.numa.count
        self.check_nodes()
        self.make_sockets()
        self.make_memory()
        if self.riscv.early_fw_cfg:
            make_fw_cfg(self.board, at.FW_CFG_DATA, at.FW_CFG_CTL, at.FW_CFG_DMA)
        self.put("riscv.sifive.test", {"riscv.sifive.test": at.TEST})
        for number in range(at.TRANSPORTS):
            self.put("virtio-mmio", {"virtio-mmio": at.VIRTIO + number * at.VIRTIO_STEP})
        self.make_pci()
        self.platform_bus = make_platform_bus(self.board, at.PLATFORM_BUS)
        self.put("serial-mm", {"serial": at.UART})
        self.put("goldfish_rtc", {"goldfish_rtc": at.RTC})
        self.make_flash()
        if self.options.on("iommu-sys", False):
            self.make_iommu()
        check_flash_units(self)
        self.leave_nics()

    def put(self, type_name: str, places: Mapping[str, int], *, board: str = "virt") -> CatalogueDevice:
        """A device of the board with its regions at *places*."""
        return place(self.board, type_name, places, machine=board)

    def check_nodes(self) -> None:
        """Warn of clusters whose harts sit in several nodes."""
        if self.numa.count and self.riscv.nodes_follow_clusters:
            places = [(index, self.cpu_place(index)) for index in range(self.smp.max_cpus)]
            for text in warnings(places, self.numa.of_cpu):
                self.warn(text)

    def make_sockets(self) -> None:
        """Harts and their interrupt controllers, socket by socket."""
        options = self.options
        controllers = Controllers(
            aia=options.text("aia", "none"),
            aclint=options.on("aclint", False),
            guests=_leading_number(options.text("aia-guests", "0")),
            clint=self.emulated,
        )
        hypervisor = not self.riscv.guests_need_hypervisor or has_hypervisor(self.cpu_type, self.request.line.cpu)
        if controllers.aia == "aplic-imsic" and controllers.guests and not hypervisor:
            raise MachineError(
                f"aia-guests={controllers.guests} needs harts with the extension for hypervisors (-cpu rv64, h=on): "
                "without it QEMU aborts here"
            )
        devices = self.devices = InterruptDevices(self, controllers)
        for socket in sockets_of(self.smp.cpus, self.numa.count, self.numa.of_cpu):
            check_features(self.cpu_type, cpu_features(self.request.line.cpu), self.board.types)
            check_width(self.cpu_type, self.quirks.label)
            make_harts(self, socket)
            devices.make(socket)

    def make_memory(self) -> None:
        """RAM, and the ROM that harts start in."""
        board = self.board
        if not self.wide and self.ram_size > _ANNOUNCED_RAM:
            # it is all there nevertheless
            board.said.append("Limiting RAM size to 10 GiB")
            self.ram_size = _ANNOUNCED_RAM
        if self.ram is not None:
            board.system.add_subregion(self.ram, at.RAM)
        name = "riscv_virt_board.mrom"
        board.system.add_subregion(board.ram(name, at.MROM_SIZE, block=name, readonly=True), at.MROM)

    def make_pci(self) -> None:
        """The host bridge with its windows."""
        board, system = self.board, self.board.system
        base, size = at.high_window(self.ram_size, wide=self.wide)
        host = GpexHost.recorded_on(board, machine="virt")
        host.maps_bars_at_0 = True
        where = {"base": f"{base} (0x{base:x})", "size": f"{size} ({size // GIB} GiB)"}
        host.layout.lines = tuple(
            f"{name} = {where[name[-4:]]}" if (name := line.partition(" ")[0]).startswith("x-above-4g-mmio-") else line
            for line in host.layout.lines
        )
        board.plug(host, board.sysbus)
        system.add_subregion(board.alias("pcie-ecam", host.ecam, 0, at.ECAM_SIZE, host), at.ECAM)
        window = board.alias("pcie-mmio", host.window, at.PCI_MEMORY, at.PCI_MEMORY_SIZE, host)
        system.add_subregion(window, at.PCI_MEMORY)
        system.add_subregion(board.alias("pcie-mmio-high", host.window, base, size, host), base)
        system.add_subregion(host.ports, at.PCI_PORTS)

    def make_flash(self) -> None:
        """Two flash devices."""
        low, high = make_flash_pair(self, at.FLASH_SIZE, virt_quirks(self.quirks.label).flash_size_text)
        self.board.system.add_subregion(low.region, at.FLASH0)
        self.board.system.add_subregion(high.region, at.FLASH1)

    def make_iommu(self) -> None:
        """The IOMMU that is no PCI function."""
        found = self.devices.main
        path = "" if found is None else found.path or ""

        def tell(device: CatalogueDevice) -> None:
            device.layout.lines = tuple(
                f'irqchip = "{path}"' if line.startswith("irqchip = ") else line for line in device.layout.lines
            )

        place(self.board, "riscv-iommu-device", {}, machine="virt,iommu-sys=on", tell=tell)

    def leave_nics(self) -> None:
        """The board makes no network cards, and yet they have taken addresses."""
        nics = nics_of(self)
        for model, _ in nics:
            text = f"requested NIC (anonymous, model {model or 'unspecified'}) was not created"
            self.warn(f"{text} (not supported by this machine?)")
        default = not self.plan.nets and not self.request.line.nodefaults
        given = sum("mac" in nic.properties for nic in nics)
        self.board.macs.update(dict.fromkeys(range(len(nics) - given + default)))

    def added(self, device: Device) -> None:
        """Registers of a device on the system bus get a place on the platform bus."""
        if device.bus is self.board.sysbus:
            self.platform_bus.take(device)

    # --- machine-done ---

    def acpi_blocks(self) -> None:
        """Firmware is looked for now, then come the tables; older releases have fw_cfg only now.

        :raises MachineError: nobody has the file that -bios names.
        """
        if not self.riscv.early_fw_cfg:
            make_fw_cfg(self.board, at.FW_CFG_DATA, at.FW_CFG_CTL, at.FW_CFG_DMA)
        name = self.plan.bios
        if name not in (None, "none", "default") and self.request.firmware(name) is None:
            raise MachineError(self.riscv.missing_firmware.format(name))
        super().acpi_blocks()

    def acpi_tables(self) -> int:
        """Bytes of the ACPI tables: all harts fit."""
        return 128 * KIB


def _leading_number(text: str) -> int:
    """What C's atoi makes of *text*: 0 where it does not begin with a number."""
    sign = text.lstrip()[:1] if text.lstrip()[:1] in ("+", "-") else ""
    digits = text.lstrip()[len(sign) :]
    count = next((n for n, char in enumerate(digits) if not char.isdigit()), len(digits))
    return int(sign + digits[:count]) if count else 0
