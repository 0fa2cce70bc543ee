"""Board: what devices find when they are plugged in: memory, ports, the object tree, firmware, defaults.

Boards (qshim.machines) fill it; devices only know this.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from qshim.devices.qdev import Bus, Device
from qshim.memory import AddressSpace, MemoryRegion, MemoryRegionOps, Topology
from qshim.memory.allocate import allocate_ram, allocate_resizeable_ram, allocate_rom, allocate_rom_device
from qshim.memory.ops import IO_PORT_OPS, STRICT_IO_PORT_OPS
from qshim.qom import MemoryBackend, QomObject, RegionObject
from qshim.qom.qdict import hash_order
from qshim.qom.types import QomTypes, target_types
from qshim.units import SPACE

if TYPE_CHECKING:
    from qshim.devices.memory.placement import DeviceMemory
    from qshim.memory.hostmem import HostSource
    from qshim.versions import Quirks

__all__ = ["Board"]

IO_SPACE = 0x10000
_ESCAPES = str.maketrans({"/": "\\x2f", "[": "\\x5b", "]": "\\x5d"})
"""How the object tree writes what would be part of a path."""
MAC_LINE = 'mac = "52:54:00:12:34:'


class Board:
    """The surroundings of a machine's devices.

    :param machine_type: QOM type of the machine object (`pc-q35-11.1-machine`).
    :param firmware: returns the bytes of a firmware file by name, None where there is none.
    """

    def __init__(
        self,
        topology: Topology,
        quirks: Quirks,
        machine_type: str,
        *,
        target: str = "x86_64",
        firmware: Callable[[str], bytes | None] = lambda name: None,
        ports: bool = True,
    ) -> None:
        self.topology = topology
        self.quirks = quirks
        self.target = target
        self.firmware = firmware
        self.root = QomObject.root()
        for name in quirks.root_objects:
            self.root.add_child(name, QomObject(machine_type if name == "machine" else "container"))
        machine, objects = self.root.child("machine"), self.root.child("objects")
        assert machine is not None
        assert objects is not None
        self.machine, self.objects = machine, objects
        self.unattached = machine.add_child("unattached", QomObject("container"))
        self.peripheral = machine.add_child("peripheral", QomObject("container"))
        self.peripheral_anon = machine.add_child("peripheral-anon", QomObject("container"))
        self.sysbus = Bus(self, "System")
        self.unattached.add_child("sysbus", self.sysbus)
        self.backends: dict[str, MemoryBackend] = {}
        self.said: list[str] = []
        """What QEMU prints on stderr while it starts, behind its name."""
        self.globals: list[tuple[str, str, str]] = []
        """(type, property, value) that hold for every device of a type or its descendants, the last one wins."""
        self.descends: Callable[[str, str], bool] = lambda name, parent: name == parent
        """Whether a type is another one or descends from it."""
        self.devices: list[Device] = []
        """Realized devices in order."""
        self.power_off: Callable[[Bus], None] = lambda bus: None
        """Takes away what is on a bus: its slot has lost power."""
        self.owns_slot: Callable[[Bus], bool] = lambda bus: True
        """Whether a port sees to the slot behind it; otherwise ACPI does, and the port knows of no card."""
        self.completed = False
        """Machine-done has passed: devices that come now are hot-plugged."""
        self.pci_buses: list[Bus] = []
        """Root PCI buses, the oldest first."""
        self.bus_numbers: dict[str, int] = {}
        """Bus type -> how many buses of it have got a number for a name (`ide.0`)."""
        self.backend_regions: dict[str, MemoryRegion] = {}
        """Id of a memory backend -> its region."""
        self.main_memory: MemoryRegion | None = None
        """All RAM of the machine, wherever its parts are mapped; None where there is none."""
        self.ram_size = 0
        """Bytes of it."""
        self.below_4g = 0
        """Bytes of it below 4 GiB."""
        self.smm = True
        """The chipset has memory for system management mode."""
        self.cpus = 1
        """How many there are; devices have as many queues."""
        self.cxl_host: MemoryRegion | None = None
        """Where CXL host bridges have their registers (`cxl_host_reg`); None without CXL."""
        self.hash_order: Callable[[Sequence[str]], Sequence[str]] = hash_order
        """The order in which properties are set: QEMU keeps them in a hash table."""
        self.legacy_cpu_hotplug = False
        """CPU hot-plug registers stay legacy ones (machine types up to 2.6)."""
        self.family = "pc"
        """Whose own devices the catalogue is asked for: pc, q35, microvm or isapc."""
        self.smram: MemoryRegion | None = None
        """What CPUs see in SMM besides memory; None on a board without."""
        self.pci_memory: MemoryRegion | None = None
        """Memory of the main PCI bus, which is there before the bus."""
        self.has_apic = self.has_vapic = False
        self.device_memory: DeviceMemory | None = None
        """Where memory devices go; None without maxmem."""
        self.maximum_memory = 0
        """-m maxmem in bytes, at least ram_size."""
        self.slots = 0
        """-m slots."""
        self.takes_dimms = False
        """The board plugs DIMMs; on others a DIMM may exist, but nobody sees it."""
        self.refuses_dimms = ""
        """Why it takes none."""
        self.maps_bars_at_0 = False
        """Address 0 is one like others for BARs."""
        self.has_msi = True
        """Interrupts may be messages."""
        self.nvdimm = False
        """-machine nvdimm=on"""
        self.no_device_memory = quirks.no_device_memory
        """What a memory device is told where there is no room for any."""
        self.no_nvdimm_text = "nvdimm is not enabled: missing 'nvdimm' in '-M'"
        self.takes_cold_nvdimms = False
        """It takes nvdimms of the command line even where it refuses DIMMs otherwise."""
        self.numa_nodes = 0
        self.macs: dict[int, Device | None] = {}
        """Default network addresses that are taken: number -> who has it, None for a card that was never made."""
        self.fw_cfg_files: set[str] = set()
        """Option ROMs that firmware gets as files instead of through a BAR."""
        self.system = self.container("system", SPACE)
        nobody = STRICT_IO_PORT_OPS if quirks.unaligned_ports_are_rejected else IO_PORT_OPS
        self.ports = self.io("io", IO_SPACE, None, nobody)
        self.memory_space = self.space(self.system, "memory")
        self.io_space = self.space(self.ports, "I/O")

    @property
    def types(self) -> QomTypes | None:
        """The QOM types of this QEMU; None where no binary was asked."""
        return target_types(self.quirks.label, self.target)

    @property
    def isa_memory(self) -> MemoryRegion:
        """Where ISA cards put memory: PCI's where there is PCI."""
        return self.system if self.pci_memory is None else self.pci_memory

    # --- regions: each has its place in the object tree (NAME[N] below its parent) ---

    def placed(self, region: MemoryRegion, *, in_tree: bool = True) -> MemoryRegion:
        """Give *region* its QOM child `NAME[N]` below its parent, or below /machine/unattached."""
        node = None
        if in_tree and region.name is not None:
            where = region.parent if isinstance(region.parent, QomObject) else self.unattached
            node = where.add_numbered(region.name.translate(_ESCAPES), RegionObject(region))
            region.parent = where
        if isinstance(region.parent, Device):
            region.parent.regions[region] = node
        return region

    def container(
        self, name: str, size: int, owner: QomObject | None = None, *, parent: QomObject | None = None
    ) -> MemoryRegion:
        """A region that only holds others."""
        return self.placed(MemoryRegion(self.topology, name, size, owner=owner, parent=parent))

    def io(
        self,
        name: str,
        size: int,
        owner: QomObject | None = None,
        ops: MemoryRegionOps | None = None,
        *,
        parent: QomObject | None = None,
    ) -> MemoryRegion:
        """Registers; without *ops* they accept nothing."""
        return self.placed(MemoryRegion.io(self.topology, name, size, ops, owner=owner, parent=parent))

    def alias(
        self, name: str, target: MemoryRegion, offset: int, size: int, owner: QomObject | None = None
    ) -> MemoryRegion:
        """A window on *target*."""
        return self.placed(MemoryRegion.alias_of(self.topology, name, target, offset, size, owner=owner))

    def ram(
        self,
        name: str,
        size: int,
        owner: QomObject | None = None,
        *,
        block: str | None = None,
        readonly: bool = False,
        source: HostSource | None = None,
    ) -> MemoryRegion:
        """RAM (or ROM) on a new block, which is called *block* (None: it has no name)."""
        if readonly:
            region = allocate_rom(self.topology, name, size, owner=owner)
        else:
            region = allocate_ram(self.topology, name, size, owner=owner, source=source)
        if block is not None and region.ram_block is not None:
            self.topology.ram.register(region.ram_block, block)
        return self.placed(region)

    def rom_device(
        self, name: str, size: int, ops: MemoryRegionOps, owner: QomObject | None = None, *, block: str | None = None
    ) -> MemoryRegion:
        """Flash and its like."""
        region = allocate_rom_device(self.topology, name, size, ops, owner=owner)
        if block is not None and region.ram_block is not None:
            self.topology.ram.register(region.ram_block, block)
        return self.placed(region)

    def resizeable(
        self, name: str, size: int, max_size: int, owner: QomObject | None = None, *, block: str | None = None
    ) -> MemoryRegion:
        """RAM that may grow."""
        region = allocate_resizeable_ram(self.topology, name, size, max_size, owner=owner)
        if block is not None and region.ram_block is not None:
            self.topology.ram.register(region.ram_block, block)
        return self.placed(region)

    def space(self, root: MemoryRegion, name: str) -> AddressSpace:
        """A new address space."""
        return AddressSpace(self.topology, root, name)

    # --- devices ---

    def global_value(self, type_name: str, name: str) -> str | None:
        """What `-global` or the machine type says of property *name* of *type_name*; None if nothing."""
        for kind, property_name, value in reversed(self.globals):
            if property_name == name and self.descends(type_name, kind):
                return value
        return None

    def plug(
        self, device: Device, bus: Bus | None = None, *, parent: QomObject | None = None, name: str | None = None
    ) -> Device:
        """Put *device* on *bus*, into the tree as child *name* of *parent*, and realize it.

        Without *parent* it becomes the next /machine/unattached/device[N].

        :raises DeviceError: it cannot be realized; it is nowhere then.
        """
        if parent is not None and name is not None:
            parent.add_child(name, device)
        elif device.parent is None:
            self.unattached.add_numbered("device", device)
        if bus is not None:
            device.bus = bus
            bus.devices.append(device)
        device.hotplugged = self.completed
        try:
            with self.topology.transaction():
                device.realize()
        except Exception:
            self.unplug(device)
            raise
        device.realized = True
        self.devices.append(device)
        self._give_mac(device)
        if self.completed:
            device.machine_done()
        return device

    def _give_mac(self, device: Device) -> None:
        """A network card without an address gets the next one of QEMU's own."""
        layout = getattr(device, "layout", None)
        if any(line.startswith(MAC_LINE) for line in getattr(layout, "lines", ())) and "mac" not in device.properties:
            holder = device.bus.device if device.bus is not None and device.parent is device.bus.device else None
            if holder is not None and "mac" in holder.properties:
                return
            number = next(n for n in range(256) if n not in self.macs)
            self.macs[number] = device
            device.properties["mac"] = f"52:54:00:12:34:{(0x56 + number) & 0xFF:02x}"

    def unplug(self, device: Device) -> None:
        """Take *device* away, whatever of it is there."""
        with self.topology.transaction():
            device.unrealize()
        device.realized = False
        self.macs = {number: holder for number, holder in self.macs.items() if holder is not device}
        if device in self.devices:
            self.devices.remove(device)
        if device.bus is not None:
            device.bus.devices.remove(device)
            device.bus = None
        if device.parent is not None:
            device.parent.remove_child(device)

    def machine_done(self) -> None:
        """Everything of the command line is there."""
        with self.topology.transaction():
            for device in tuple(self.devices):
                device.machine_done()
        self.completed = True

    def reset(self) -> None:
        """system_reset: every device restores what it should."""
        with self.topology.transaction():
            for device in tuple(self.devices):
                device.reset()

    def warn(self, text: str) -> None:
        """QEMU prints a warning."""
        self.said.append(f"warning: {text}")
