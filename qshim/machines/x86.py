"""What all x86 boards have in common: CPUs, RAM, NUMA, firmware, -device, ACPI blocks (spec/x86-boards.md 1, 2, 4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from qshim.argv import CommandLine, OptionError
from qshim.argv.opts import identifier
from qshim.argv.plan import DevicePlan, MachinePlan
from qshim.devices.board import Board
from qshim.devices.catalogue import check_class, create, instantiate
from qshim.devices.chipset.cpu import X86Cpu
from qshim.devices.errors import DeviceError
from qshim.devices.memory.backends import Around, make_backend
from qshim.devices.pci import PciBus, PciFunction
from qshim.devices.properties import check_properties
from qshim.devices.qdev import Bus, Device
from qshim.errors import MemoryModelError
from qshim.machines.checks import check_controller, check_singles
from qshim.machines.compat import Compat, compat_props
from qshim.machines.cpu import CpuModel, cpu_model, default_model
from qshim.machines.hotplug import Deleted, HotPlug, hot_cpu
from qshim.machines.layouts import KIB, MIB, Layout, MachineError, up
from qshim.machines.numa import Numa, numa_of
from qshim.machines.options import MachineOptions
from qshim.machines.plugging import device_types, find_bus, nic_types
from qshim.machines.smp import Smp, smp_of
from qshim.memory import MemoryRegion, Rules, Topology
from qshim.memory.allocate import allocate_ram
from qshim.qom import QomObject
from qshim.qom.types import qom_types
from qshim.versions import Quirks

__all__ = ["Request", "X86Machine"]

DEFAULT_RAM = 128 * MIB
_HOST_SPACE = 1 << 47


@dataclass(frozen=True, slots=True)
class Request:
    """A machine that somebody asked for."""

    line: CommandLine
    plan: MachinePlan
    quirks: Quirks
    target: str
    name: str
    """Machine type without alias."""
    compat: Compat
    firmware: Callable[[str], bytes | None]
    """Bytes of a firmware file by name or path; None where there is none."""
    open_image: Callable[[str], bytes]
    """Bytes of a disk image; raises OSError."""
    may_write: Callable[[str], str | None] = lambda path: None
    hash_order: Callable[[object], object] = field(default=lambda names: names)
    deprecated: bool = False


class X86Machine:
    """A board being made; `make` does it all."""

    family = "none"
    ram_id = "ram"
    levels: tuple[str, ...] = ("socket", "core", "thread")
    most_cpus = 1
    has_numa = True
    hotplug_cpus = False
    has_cpu_places = True
    """CPUs tell where they sit."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.plan, self.quirks, self.compat = request.plan, request.quirks, request.compat
        topology = Topology(
            rules=Rules(
                late_listener_gets_coalesced=self.quirks.late_listener_gets_coalesced,
                eventfd_diff_needs_listener=self.quirks.eventfd_diff_needs_listener,
                debug_write_reaches_rom=self.quirks.debug_write_reaches_rom,
            )
        )
        self.type_name = f"{request.name}-machine"
        self.board = Board(topology, self.quirks, self.type_name, target=request.target, firmware=request.firmware)
        self.board.family = self.family
        self.topology = topology
        types = qom_types(self.quirks.label, "x86_64")
        if types is not None:
            self.board.descends = types.implements
        self.backend_regions: dict[str, MemoryRegion] = self.board.backend_regions
        self.hotplug = HotPlug(self)
        self.nameless = 0
        """How many devices without an id were asked for."""
        self.ram_size = 0
        self.ram: MemoryRegion | None = None
        self.layout = Layout(0, 0)
        self.numa = Numa()
        self.smp = Smp()
        self.cpus: list[X86Cpu] = []
        self.cpu: CpuModel
        self.isa: Bus | None = None

    @property
    def warn(self) -> Callable[[str], None]:
        """QEMU prints a warning."""
        return self.board.warn

    # --- the whole ---

    def make(self) -> X86Machine:
        """Make the machine.

        :raises MachineError, OptionError, DeviceError: QEMU does not start it either, in its words.
        """
        request = self.request
        if request.deprecated:
            self.warn(
                f"Machine type '{request.name}' is deprecated: machines more than 3 years old are subject to "
                "deletion after 6 years"
            )
        self.globals()
        self.options = MachineOptions(self.quirks.label, self.type_name, dict(request.line.machine_properties))
        self.read_smp()
        self.read_memory()
        with self.topology.transaction():
            self.make_backends()
            self.check_backend()
            self.make_ram()
            self.read_numa()
            self.check_nic_globals()
            self.populate()
            for device in self.plan.devices:
                self.add_device(device)
            self.board.machine_done()
            self.acpi_blocks()
        self.check_globals()
        self.check_peers()
        return self

    def check_peers(self) -> None:
        """Network cards that nobody connected."""
        numbers: dict[str, int] = {}
        for device in self.board.devices:
            if device.type_name not in nic_types(self.quirks.label, self.request.target):
                continue
            number = numbers.get(device.type_name, 0)
            numbers[device.type_name] = number + 1
            if "netdev" not in device.properties:
                self.warn(f"nic {device.id or f'{device.type_name}.{number}'} has no peer")

    def populate(self) -> None:
        """Put everything on the board that this machine type has."""
        raise NotImplementedError

    # --- memory ---

    def read_memory(self) -> None:
        """-m against itself."""
        plan = self.plan
        ram = DEFAULT_RAM if plan.memory is None else plan.memory
        if self.family == "none" and plan.memory is None:
            ram = 0
        backend = self.options.text("memory-backend")
        if backend:
            found = next((o for o in plan.objects if o.id == backend), None)
            size = None if found is None else found.values.get("size")
            if plan.memory is None and isinstance(size, int):
                ram = size
        self.ram_size = ram
        most = plan.max_memory
        if plan.has_slots and most is None:
            raise MachineError("slots specified but no max-size")
        if most is not None:
            if most < ram:
                raise MachineError(
                    f"invalid value of maxmem: maximum memory size (0x{most:x}) must be at least the initial memory "
                    f"size (0x{ram:x})"
                )
            if plan.slots and most == ram:
                raise MachineError(
                    "invalid value of maxmem: memory slots were specified but maximum memory size "
                    f"(0x{most:x}) is equal to the initial memory size (0x{ram:x})"
                )
        self.max_memory = ram if most is None else most
        self.board.ram_size = ram

    def make_backends(self) -> None:
        """-object, in their order."""
        board, request = self.board, self.request
        around = Around(self.topology, self.quirks, request.may_write, request.hash_order)  # type: ignore[arg-type]
        for plan in self.plan.objects:
            if not plan.kind.startswith("memory-backend-"):
                board.objects.add_child(plan.id, QomObject(plan.kind))
                continue
            values = dict(plan.values)
            canonical = "x-use-canonical-path-for-ramblock-id"
            if canonical not in values and board.global_value(plan.kind, canonical) in ("on", "true"):
                values[canonical] = True
            backend, region, made = make_backend(around, plan.kind, plan.id, values, board.objects)
            board.backends[plan.id] = backend
            self.backend_regions[plan.id] = region
            board.objects.add_child(plan.id, made)
        if self.quirks.monitors_are_objects:
            # behind the objects of the command line, in front of main memory
            for monitor in request.line.monitors:
                kind = "monitor-qmp" if monitor.control else "monitor-hmp"
                if board.objects.child(monitor.chardev) is None:
                    board.objects.add_child(monitor.chardev, QomObject(kind))

    def check_backend(self) -> None:
        """-machine memory-backend."""
        name = self.options.text("memory-backend")
        if not name:
            return
        found = self.board.backends.get(name)
        if found is None:
            raise MachineError(f"Memory backend '{name}' not found")
        if found.size != self.ram_size:
            raise MachineError("Machine memory size does not match the size of the memory backend")

    def make_ram(self) -> None:
        """Main memory: a backend, backends of NUMA nodes, or a block of its own."""
        board = self.board
        name = self.options.text("memory-backend")
        if name:
            self.take_backend(name)
            self.ram = self.backend_regions[name]
        elif any("memdev" in plan.values for plan in self.plan.numa if plan.kind == "node"):
            self.ram = None  # made of the nodes' backends once they are known
        elif self.ram_size:
            if self.ram_size >= _HOST_SPACE:
                raise MachineError(f"cannot set up guest memory '{self.ram_id}': Cannot allocate memory")
            owner = QomObject("memory-backend-ram")
            board.objects.add_child(self.ram_id, owner)
            region = allocate_ram(self.topology, self.ram_id, self.ram_size, owner=owner)
            assert region.ram_block is not None
            self.topology.ram.register(region.ram_block, self.ram_id)
            self.ram = board.placed(region)
            from qshim.qom import MemoryBackend

            merge, dump = self.options.on("mem-merge", True), self.options.on("dump-guest-core", True)
            board.backends[self.ram_id] = MemoryBackend(
                self.ram_id, "memory-backend-ram", self.ram_size, merge, dump, mapped=True
            )
        board.main_memory = self.ram

    def take_backend(self, name: str, where: str = "") -> MemoryRegion:
        """Let the machine use backend *name* as its memory; its block gets its name.

        :raises MachineError: somebody uses it already.
        """
        backend, region = self.board.backends[name], self.backend_regions[name]
        if backend.mapped:
            raise MachineError(
                f"memory backend {name} is used multiple times. Each -numa option must use a different memdev value."
            )
        backend.mapped = True
        assert region.ram_block is not None
        try:
            self.topology.ram.register(region.ram_block, region.name or name)
        except MemoryModelError as error:
            raise MachineError(str(error)) from error
        return region

    def read_numa(self) -> None:
        """-numa, and RAM made of its backends."""
        plans = self.plan.numa
        if plans and not self.has_numa:
            raise OptionError(f"{plans[0].where}: NUMA is not supported by this machine-type")
        self.numa = numa_of(
            plans,
            self.ram_size,
            self.smp,
            self.board.backends,
            self.levels,
            legacy_memory=self.legacy_numa_memory,
            auto_node=self.has_numa and self.hotplug_cpus and self.auto_node,
        )
        self.board.said += self.numa.located
        for text in self.numa.warnings:
            self.warn(text)
        if self.numa.uses_backends:
            if self.options.text("memory-backend"):
                raise MachineError("'-machine memory-backend' and '-numa memdev' properties are mutually exclusive")
            ram = self.board.container(self.ram_id, self.ram_size, self.board.machine)
            at = 0
            for number in sorted(self.numa.nodes):
                node = self.numa.nodes[number]
                if node.backend is not None:
                    ram.add_subregion(self.take_backend(node.backend), at)
                at += node.memory
            self.ram = self.board.main_memory = ram

    @property
    def auto_node(self) -> bool:
        """Memory can be added, so there is a node to add it to."""
        if self.plan.slots:
            return self.compat.node_with_slots
        return self.max_memory > self.ram_size and self.compat.node_with_maxmem

    @property
    def legacy_numa_memory(self) -> bool:
        """The machine type takes -numa node,mem=."""
        return self.compat.numa_mem

    # --- CPUs ---

    def read_smp(self) -> None:
        """-smp."""
        levels = tuple(f"{level}s" for level in self.levels if level in ("die", "module"))
        self.smp, warnings = smp_of(
            self.plan.smp,
            self.request.name,
            self.most_cpus,
            prefer_sockets=self.compat.prefer_sockets,
            strict=self.quirks.smp_is_strict,
            levels=levels,
        )
        self.board.cpus = self.smp.cpus
        for text in warnings:
            self.warn(text)

    def make_cpus(self) -> None:
        """All CPUs that are there from the start."""
        line = self.request.line
        text = line.cpu or default_model(self.family, self.request.target)
        self.cpu = cpu_model(
            self.quirks.label, self.request.target, text, limit_phys_bits=not self.quirks.ports_80_f0_of_machine
        )
        for index in range(self.smp.cpus):
            apic = self.cpu.apic or self.smp.cpus > 1
            cpu = X86Cpu(self.board, self.cpu.type_name, index, apic=apic)
            self.board.plug(cpu)
            self.cpus.append(cpu)

    # --- devices ---

    def make_device(
        self,
        type_name: str,
        bus: Bus | None = None,
        properties: Mapping[str, str] | None = None,
        *,
        parent: QomObject | None = None,
        name: str | None = None,
    ) -> Device:
        """A device of the board itself, as the catalogue has it."""
        return instantiate(
            self.board, type_name, bus, properties=properties, parent=parent, name=name, machine=self.family
        )

    def add_device(self, plan: DevicePlan) -> Device:
        """A -device.

        :raises OptionError: QEMU refuses it.
        """
        try:
            return self.plug_in(plan.driver, plan.id, plan.properties)
        except DeviceError as error:
            raise OptionError(f"{plan.where}: {error}", *filter(None, [error.hint])) from error
        except MemoryModelError as error:
            # a name that is taken ends QEMU wherever it happens
            own = "already registered" in str(error)
            raise OptionError(str(error) if own else f"{plan.where}: {error}") from error

    def plug_in(
        self,
        driver: str,
        name: str | None,
        properties: Mapping[str, str],
        *,
        texts: Callable[[str, Mapping[str, str]], Mapping[str, str]] = lambda driver, properties: properties,
    ) -> Device:
        """A device that a user adds, now or while the machine runs.

        *texts* makes properties of *properties* for the type, once only they are left to look at.

        :raises DeviceError: QEMU refuses it.
        """
        board = self.board
        given = dict(properties)
        bus_name = given.pop("bus", None)
        types = qom_types(self.quirks.label, "x86_64")
        known = device_types(self.quirks.label, self.request.target)
        driver = known.named(driver, types)
        if board.completed:
            self.hotplug.check_type(driver)
        check_class(board, driver)
        bus = find_bus(board, types, driver, known.buses[driver], bus_name)
        if board.completed:
            self.hotplug.check_place(driver, bus)
            text = self.quirks.device_id_text
            if name is not None and text and not identifier(name):
                raise DeviceError(text.format(name))
        parent = board.peripheral
        if name is not None and parent.child(name) is not None:
            raise DeviceError(f"Duplicate device ID '{name}'")
        # the number is used up even if the device cannot be had
        anonymous = f"device[{self.nameless}]"
        self.nameless += name is None
        given = dict(texts(driver, given))
        error = self._bad_global(driver)
        if error is not None:
            raise DeviceError(error)
        special = self.special_device(driver, name, given)
        device = special or create(board, driver, device_id=name, properties=given)
        # a slot that is taken is refused before anything else is looked at
        if isinstance(device, PciFunction) and isinstance(bus, PciBus):
            bus.try_slot(device, given.get("addr"))
        check_singles(board, driver)
        try:
            if name is not None:
                board.plug(device, bus, parent=board.peripheral, name=name)
            else:
                board.plug(device, bus, parent=board.peripheral_anon, name=anonymous)
        except DeviceError as refusal:
            self.hotplug.leave_behind(device, refusal)
            raise
        try:
            check_controller(device, isinstance(device, PciFunction) and self.hotplug.by_acpi(device.pci_bus))
        except DeviceError:
            board.unplug(device)
            raise
        return device

    @property
    def acpi_hotplug(self) -> bool:
        """ACPI serves hot-plug behind bridges, not the bridges themselves."""
        return False

    def special_device(self, driver: str, name: str | None, properties: Mapping[str, str]) -> Device | None:
        """A device that is not made from the catalogue, or None."""
        from qshim.devices.memory.table import memory_device

        if driver.endswith(f"-{self.request.target}-cpu"):
            check_properties(self.board, driver, properties)
            return hot_cpu(self, driver, name, properties)
        return memory_device(self.board, driver, name, properties)

    def reset(self) -> list[Deleted]:
        """system_reset; what it has removed."""
        with self.topology.transaction():
            gone = self.hotplug.reset()
            self.board.reset()
        return gone

    # --- globals ---

    def globals(self) -> None:
        """Properties that the machine type and -global set."""
        types = qom_types(self.quirks.label, "x86_64")
        if types is not None:
            for row in compat_props(self.quirks.label, self.request.name):
                self.board.globals.append((row["qom-type"], row["property"], row["value"]))
        self.board.globals += self.plan.globals

    def check_nic_globals(self) -> None:
        """10.0 and later look at every network card before they make one.

        :raises MachineError: -global sets what a card does not have.
        """
        if self.quirks.nics_are_tried:
            for kind in nic_types(self.quirks.label, self.request.target):
                error = self._bad_global(kind)
                if error is not None:
                    raise MachineError(error)

    def _bad_global(self, type_name: str) -> str | None:
        """What QEMU says of a -global that a device of *type_name* does not take."""
        types = qom_types(self.quirks.label, "x86_64")
        for kind, name, value in self.plan.globals:
            if types is not None and types.implements(type_name, kind):
                told = types.device_properties(type_name)
                if isinstance(told, list) and name not in {row["name"] for row in told}:
                    return f"can't apply global {kind}.{name}={value}: Property '{type_name}.{name}' not found"
        return None

    def check_globals(self) -> None:
        """-global for types that do not exist."""
        types = qom_types(self.quirks.label, "x86_64")
        if types is None:
            return
        for kind, name, _ in self.plan.globals:
            if kind not in types.by_name:
                self.warn(f"global {kind}.{name} has invalid class name")

    # --- firmware ---

    def load_bios(self, default: str, size: int) -> tuple[bytes | None, int]:
        """Contents (None: nothing to load) and size of the firmware.

        :raises MachineError: it cannot be had, or its size is wrong.
        """
        name = self.plan.bios
        if name is None:
            data = self.request.firmware(default)
            if data is not None and len(data) != size and not self.plan.data_dirs:
                # the file of another release: the layout is that of this one
                data = None
            return data, size if data is None else len(data)
        data = self.request.firmware(name)
        if data is None or not data or len(data) % (64 * KIB):
            raise MachineError(f"qemu: could not load PC BIOS '{name}'")
        return data, len(data)

    def acpi_blocks(self) -> None:
        """The blocks that machine-done makes for ACPI tables (4)."""
        board = self.board
        owner = board.machine.child("fw_cfg")
        if owner is None or not self.has_acpi or not self.compat.acpi_tables:
            return
        tables = self.acpi_tables()
        rows = [("/rom@etc/acpi/tables", tables, 2 * MIB), ("/rom@etc/table-loader", 4 * KIB, 64 * KIB)]
        if self.compat.rsdp_in_ram:
            rows.append(("/rom@etc/acpi/rsdp", 4 * KIB, 4 * KIB))
        for name, used, most in rows:
            size = used if name != "/rom@etc/acpi/rsdp" else self.rsdp_size
            region = board.resizeable(name, size, most, owner, block=name)
            region.readonly = True

    has_acpi = True
    rsdp_size = 20

    def acpi_tables(self) -> int:
        """Bytes of the ACPI tables, in whole units; beyond 1006 CPUs seen at 1007 and 4096 alone (x86-boards.md 4)."""
        cpus = self.smp.max_cpus
        if self.compat.small_tables:
            # a bit more than 100 bytes for each CPU on top of what every machine has (7.2)
            return up(7052 + 105 * cpus, 4 * KIB)
        if cpus <= 1006:
            return 128 * KIB
        return up(cpus * 160, 128 * KIB)

    def tell_host(self, host: Device) -> None:
        """What the host bridge is told of RAM."""
        host.properties |= {
            "below-4g-mem-size": str(self.layout.below), "above-4g-mem-size": str(self.layout.above),
        }  # fmt: skip

    def map_ram(self, layout: Layout) -> None:
        """RAM below and above 4 GiB."""
        board = self.board
        self.layout = layout
        board.below_4g = layout.below
        if self.ram is None:
            return
        low = board.alias("ram-below-4g", self.ram, 0, layout.below)
        board.system.add_subregion(low, 0)
        if layout.above:
            high = board.alias("ram-above-4g", self.ram, layout.below, layout.above)
            board.system.add_subregion(high, layout.above_start)

    def device_memory_limits(self) -> None:
        """Whether slots and maxmem fit.

        :raises MachineError: they do not.
        """
        if self.plan.slots > 256:
            raise MachineError(f"unsupported amount of memory slots: {self.plan.slots}")
        if self.max_memory % 4096:
            raise MachineError("maximum memory size must by aligned to multiple of 4096 bytes")
