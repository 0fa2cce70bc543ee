"""What all boards have in common: RAM, backends, NUMA, -smp, -device, ACPI blocks (spec/x86-boards.md 1, 2, 4).

A board is a subclass: `populate` puts its devices where its machine type has them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from qshim.argv import CommandLine, OptionError
from qshim.argv.opts import members
from qshim.argv.plan import MachinePlan, NumaPlan
from qshim.devices.board import Board
from qshim.devices.catalogue import instantiate
from qshim.devices.chipset.cpu import Cpu
from qshim.devices.errors import DeviceError
from qshim.devices.memory.backends import Around, make_backend
from qshim.devices.qdev import Bus, Device
from qshim.errors import MemoryModelError
from qshim.machines.adding import add_device
from qshim.machines.compat import Common, compat_props
from qshim.machines.errors import MachineError
from qshim.machines.firmware import check_flash_node
from qshim.machines.globals import check_globals, check_nics
from qshim.machines.hotplug import Deleted, HotPlug
from qshim.machines.nics import check_peers
from qshim.machines.numa import Numa, numa_of
from qshim.machines.options import MachineOptions
from qshim.machines.smp import Smp, smp_of
from qshim.memory import MemoryRegion, Rules, Topology
from qshim.memory.allocate import allocate_ram
from qshim.qom import QomObject
from qshim.qom.qdict import hash_order
from qshim.units import KIB, MIB
from qshim.versions import Quirks

__all__ = ["Machine", "Request"]

DEFAULT_RAM = 128 * MIB
_BOOT = ("order", "once", "menu", "splash", "splash-time", "reboot-timeout", "strict")
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
    firmware: Callable[[str], bytes | None]
    """Bytes of a firmware file by name or path; None where there is none."""
    open_image: Callable[[str], bytes]
    """Bytes of a disk image; raises OSError."""
    may_write: Callable[[str], str | None] = lambda path: None
    deprecated: bool = False


class Machine:
    """A board being made; `make` does it all."""

    family = "none"
    ram_id = "ram"
    levels: tuple[str, ...] = ("socket", "core", "thread")
    most_cpus = 1
    has_numa = True
    adds_memory = False
    """Memory devices can be plugged in."""
    spreads_memory = False
    """Nodes without memory of their own share all of it, where -numa node,mem= is taken."""
    hotplug_cpus = False
    default_nic = "e1000"
    """Model of a network card of which no other was named."""
    has_device_tree = False
    """It describes itself to the guest by one, which qshim does not make."""
    has_cpu_places = True
    """CPUs tell where they sit."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.plan, self.quirks = request.plan, request.quirks
        self.compat = self.compat_of(request.name)
        topology = Topology(
            page_bits=self.page_bits,
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
        if self.board.types is not None:
            self.board.descends = self.board.types.implements
        self.backend_regions: dict[str, MemoryRegion] = self.board.backend_regions
        self.hotplug = HotPlug(self)
        self.nameless = 0
        """How many devices without an id were asked for."""
        self.ram_size = 0
        self.ram: MemoryRegion | None = None
        self.numa = Numa()
        self.smp = Smp()
        self.cpus: list[Cpu] = []
        """Those that are there from the start, by index."""
        self.cpu_type = ""
        """QOM type of all CPUs; empty on a board without."""

    @staticmethod
    def compat_of(name: str) -> Common:
        """What machine type *name* contains."""
        return Common()

    @property
    def page_bits(self) -> int:
        """Bits of an offset in the smallest page of the target."""
        return self.compat.page_bits

    @property
    def warn(self) -> Callable[[str], None]:
        """QEMU prints a warning."""
        return self.board.warn

    # --- the whole ---

    def make(self) -> Machine:
        """Make the machine.

        :raises MachineError, OptionError, DeviceError: QEMU does not start it either, in its words.
        """
        self.begin()
        self.finish()
        return self

    def begin(self) -> None:
        """What is there before -preconfig waits: options, sizes and memory backends.

        :raises MachineError, OptionError, DeviceError: as `make`.
        """
        request = self.request
        if request.deprecated:
            self.warn(
                f"Machine type '{request.name}' is deprecated: machines more than 3 years old are subject to "
                "deletion after 6 years"
            )
        for row in compat_props(self.quirks.label, request.target, request.name) if self.board.types else ():
            self.board.globals.append((row["qom-type"], row["property"], row["value"]))
        self.board.globals += self.plan.globals
        given = dict(request.line.machine_properties)
        self.options = MachineOptions(self.board.types, self.type_name, given, self._check_property)
        self.options.read({"smp": self.read_smp, "memory": self.read_memory, "boot": self.read_boot})
        with self.topology.transaction():
            self.make_backends()

    def finish(self) -> None:
        """All the rest.

        :raises MachineError, OptionError, DeviceError: as `make`.
        """
        self.read_cpu()
        with self.topology.transaction():
            self.check_backend()
            self.make_ram()
            self.read_numa()
            check_nics(self)
            self.populate()
            self.check_fw_cfg()
            for device in self.plan.devices:
                add_device(self, device)
            self.board.machine_done()
            self.hotplug.begin()
            self.check_boot_files()
            self.acpi_blocks()
        check_globals(self)
        check_peers(self)

    @property
    def emulated(self) -> bool:
        """CPUs would run, under TCG; a qtest drives other ones."""
        return self.request.line.accelerators[:1] != ("qtest",)

    def read_cpu(self) -> None:
        """-cpu, where somebody wants to know its type before there is a CPU."""

    def _check_property(self, options: MachineOptions, key: str, value: str) -> None:
        check_flash_node(self, key, value)
        if key == "dumpdtb" and value and self.has_device_tree:
            self.warn(f"dumpdtb={value}: qshim makes no device tree, so nothing is written and the machine starts")
        self.check_option(options, key, value)

    def check_option(self, options: MachineOptions, key: str, value: str) -> None:
        """Whether the board takes *value* for property *key* of -machine.

        :raises MachineError: it does not.
        """

    def populate(self) -> None:
        """Put everything on the board that this machine type has."""
        raise NotImplementedError

    def read_boot(self) -> None:
        """-boot."""
        for key, _ in self.request.line.boot:
            if key not in _BOOT:
                raise MachineError(f"Parameter 'boot.{key}' is unexpected")

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
        # without -m, a backend of another size leaves a difference
        standing = ram if plan.memory is not None else min(ram, DEFAULT_RAM) if self.family == "none" else DEFAULT_RAM
        self.max_memory = standing if most is None else most
        self.board.ram_size = ram

    def make_backends(self) -> None:
        """-object, in their order."""
        board, request = self.board, self.request
        merge, dump = self.options.on("mem-merge", True), self.options.on("dump-guest-core", True)
        around = Around(self.topology, self.quirks, request.may_write, hash_order, merge, dump)
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
                name = monitor.name or monitor.chardev
                if board.objects.child(name) is None:
                    board.objects.add_child(name, QomObject(kind))

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

    def add_numa(self, plan: NumaPlan) -> None:
        """One more -numa, before `finish`. What only all of them together decide is not looked at.

        :raises OptionError: QEMU refuses it.
        """
        plans = (*self.plan.numa, plan)
        self.numa = self._numa(plans, whole=False)
        self.plan = replace(self.plan, numa=plans)

    def _numa(self, plans: Sequence[NumaPlan], *, whole: bool = True) -> Numa:
        if plans and not self.has_numa:
            raise OptionError(f"{plans[0].where}: NUMA is not supported by this machine-type")
        return numa_of(
            plans,
            self.ram_size,
            self.smp,
            self.board.backends,
            self.levels,
            legacy_memory=self.legacy_numa_memory,
            place=self.cpu_place,
            default_node=self.default_node,
            spread=self.spreads_memory and self.legacy_numa_memory,
            auto_node=self.has_numa and self.auto_node,
            whole=whole,
            tells_latencies=self.options.on("hmat", False),
        )

    def read_numa(self) -> None:
        """-numa, and RAM made of its backends."""
        self.numa = self._numa(self.plan.numa)
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
        if not self.adds_memory:
            return False
        if self.plan.slots:
            return self.compat.node_with_slots
        return self.max_memory > self.ram_size and self.compat.node_with_maxmem

    @property
    def legacy_numa_memory(self) -> bool:
        """The machine type takes -numa node,mem=."""
        return self.compat.numa_mem

    # --- CPUs ---

    @property
    def smp_levels(self) -> tuple[str, ...]:
        """What -smp may name besides sockets, cores and threads."""
        return tuple(f"{level}s" for level in self.levels if level in ("die", "module", "cluster"))

    def cpu_place(self, index: int) -> Mapping[str, int]:
        """Where CPU *index* sits: level -> number, at least those of `levels`."""
        return self.smp.place(index)

    def default_node(self, index: int, nodes: int) -> int:
        """The NUMA node of CPU *index*, of so many, where nobody assigned CPUs."""
        return self.smp.place(index)["socket"] % nodes

    def read_smp(self) -> None:
        """-smp."""
        for key in self.plan.smp:
            if key not in self.quirks.smp_members:
                raise MachineError(f"Parameter 'smp.{key}' is unexpected")
        self.smp, warnings = smp_of(
            self.plan.smp,
            self.request.name,
            self.most_cpus,
            prefer_sockets=self.compat.prefer_sockets,
            strict=self.quirks.smp_is_strict,
            levels=self.smp_levels,
        )
        self.board.cpus = self.smp.cpus
        for text in warnings:
            self.warn(text)

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

    def reset(self) -> list[Deleted]:
        """system_reset; what it has removed."""
        with self.topology.transaction():
            gone = self.hotplug.reset()
            self.board.reset()
        return gone

    def acpi_blocks(self) -> None:
        """The blocks that machine-done makes for ACPI tables (4)."""
        board = self.board
        owner = board.machine.child("fw_cfg")
        if owner is None or not self.has_acpi or not self.compat.acpi_tables:
            return
        tables = self.acpi_tables()
        rows = [("/rom@etc/acpi/tables", tables, 2 * MIB), ("/rom@etc/table-loader", self.table_loader(), 64 * KIB)]
        if self.compat.rsdp_in_ram:
            rows.append(("/rom@etc/acpi/rsdp", 4 * KIB, 4 * KIB))
        for name, used, most in rows:
            size = used if name != "/rom@etc/acpi/rsdp" else self.rsdp_size
            region = board.resizeable(name, size, most, owner, block=name)
            region.readonly = True

    has_acpi = True
    rsdp_size = 20

    def acpi_tables(self) -> int:
        """Bytes of the ACPI tables, in whole units."""
        raise NotImplementedError

    def table_loader(self) -> int:
        """Bytes of the commands that tell firmware how to link ACPI tables."""
        return 4 * KIB

    # --- what users asked for ---

    def defaults(self, *types: str) -> bool:
        """Whether the board adds a default device of this kind: nobody said -nodefaults or gave one."""
        if self.request.line.nodefaults:
            return False
        return not any(plan.driver in types for plan in self.plan.devices)

    @property
    def acpi_hotplug(self) -> bool:
        """ACPI serves hot-plug behind bridges, not the bridges themselves."""
        return False

    def plugs_itself(self, driver: str) -> bool:
        """Whether the board is the hot-plug controller of devices of type *driver*, which need no bus."""
        return self.adds_memory and driver in ("pc-dimm", "nvdimm")

    boot_files: Mapping[str, str] = MappingProxyType({})
    """Options that name what is loaded into RAM at reset -> what QEMU says of a file that it cannot load."""

    def check_boot_files(self) -> None:
        """Whether there is what would be loaded; qshim runs no guest and leaves RAM as it is.

        :raises MachineError: a file cannot be read.
        """
        named = [("kernel", self.plan.kernel), *self.plan.others]
        for option, text in self.boot_files.items():
            for name, path in named:
                if name == option and path is not None:
                    try:
                        self.request.open_image(path)
                    except OSError:
                        raise MachineError(*text.replace("{}", path).split("\n")) from None

    def check_fw_cfg(self) -> None:
        """Whether there is a device for the files of -fw_cfg by now.

        :raises OptionError: there is none, or one does not say what it holds.
        """
        for option, value in self.plan.others:
            if option != "fw_cfg":
                continue
            given = members(value, "name").values
            if "name" not in given or sum(key in given for key in ("file", "string", "gen_id")) != 1:
                raise OptionError(f"-fw_cfg {value}: name, plus exactly one of file, string and gen_id, are needed")
            if self.board.machine.child("fw_cfg") is None:
                raise OptionError(f"-fw_cfg {value}: fw_cfg device not available")

    def check_added(self, device: Device) -> None:
        """What the board looks at before a device that a user adds is plugged in.

        :raises DeviceError: the board refuses it.
        """

    def added(self, device: Device) -> None:
        """What the board does with a device that a user has added."""

    def hot_cpu(self, driver: str, name: str | None, properties: Mapping[str, str]) -> Device:
        """A CPU that -device or device_add brings.

        :raises DeviceError: the board has no place for it.
        """
        raise DeviceError(f"Device '{driver}' can not be hotplugged on this machine")
