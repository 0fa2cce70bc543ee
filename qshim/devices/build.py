"""Building a device from its `Layout`: regions, RAM blocks, buses, children, objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qshim.devices.errors import DeviceError
from qshim.devices.layout import ChildPlan, Layout, RegionPlan
from qshim.devices.pci.bus import PciBus
from qshim.devices.pci.function import PciFunction
from qshim.devices.qdev import Bus, Device
from qshim.memory import MemoryRegion
from qshim.memory.allocate import allocate_ram, allocate_rom, allocate_rom_device
from qshim.memory.ops import UNASSIGNED_OPS, Endian, MemoryRegionOps, MemTxAttrs
from qshim.qom import QomObject

if TYPE_CHECKING:
    from qshim.devices.board import Board

__all__ = [
    "REGISTERS", "build_buses", "build_objects", "build_regions", "device_path", "next_name", "outside", "place_of",
]  # fmt: skip

_HOTPLUG = ("usb-bus", "SCSI", "virtio-serial-bus", "ccid-bus")
"""Kinds of buses, besides PCI, whose devices come and go."""
MEMORY_KINDS = ("ram", "rom", "romd")


def _zero(offset: int, size: int, attrs: MemTxAttrs) -> int:
    return 0


def _ignore(offset: int, value: int, size: int, attrs: MemTxAttrs) -> None:
    return None


REGISTERS = MemoryRegionOps(read=_zero, write=_ignore, endian=Endian.LITTLE)
"""Registers whose content nobody models: read as 0, writes are dropped."""


def device_path(device: Device) -> str | None:
    """What the RAM blocks of *device* are called after: the path of the nearest PCI function around it."""
    here: QomObject | None = device
    while here is not None:
        if isinstance(here, PciFunction):
            return here.device_path
        if here.type_name == "virtio-mmio" and isinstance(here, Device):
            return f"virtio-mmio@{next(iter(here.regions)).addr:016x}"
        here = here.bus.device if isinstance(here, Device) and here.bus is not None else here.parent
    return None


def build_regions(device: Device, layout: Layout) -> dict[str, MemoryRegion]:
    """Make the regions of *layout* and map them where they hang; BARs are left to the caller."""
    board = device.board
    made: dict[str, MemoryRegion] = {}
    order = {name: n for n, name in enumerate(layout.blocks)}
    memory = sorted(
        (plan for plan in layout.regions if plan.kind in MEMORY_KINDS), key=lambda p: order.get(p.name, len(order))
    )
    blocks = {plan.name: _memory(device, plan) for plan in memory}
    for plan in layout.regions:
        if plan.kind == "alias":
            continue
        if plan.kind == "backend":
            made[plan.name] = _backend(device, plan)
            continue
        region = board.placed(blocks[plan.name] if plan.name in blocks else _region(device, plan))
        if not plan.owned:
            device.regions[region] = list(board.unattached.children.values())[-1]
        made[plan.name] = region
    for plan in layout.regions:
        if plan.kind == "alias":
            target = made.get(plan.target) or outside(device, plan.target)
            made[plan.name] = board.alias(plan.plain, target, plan.offset, plan.size, device)
    for plan in layout.regions:
        region = made[plan.name]
        if not plan.enabled:
            region.set_enabled(False)
        if plan.container is not None and plan.bar is None:
            # ports that nobody owns are those of the ISA bus, whatever bus the device is on
            shared = board.ports if plan.container == "@io" and not plan.owned else None
            container = shared or made.get(plan.container) or outside(device, plan.container)
            container.add_subregion(region, plan.addr, plan.priority)
    return made


def _backend(device: Device, plan: RegionPlan) -> MemoryRegion:
    """The memory of a backend, which the device has to itself now."""
    board = device.board
    backend, region = board.backends.get(plan.target), board.backend_regions.get(plan.target)
    if backend is None or region is None:
        raise DeviceError(f"Device '{plan.target}' not found", "DeviceNotFound")
    if backend.mapped:
        raise DeviceError(f"can't use already busy memdev: {plan.target}")
    backend.mapped = True
    block = region.ram_block
    if plan.block is not None and block is not None and not block.idstr:
        path = device_path(device)
        name = plan.block
        if name.startswith("*/"):
            name = name[2:] if path is None else f"{path}/{name[2:]}"
        board.topology.ram.register(block, name)
    return region


def _region(device: Device, plan: RegionPlan) -> MemoryRegion:
    topology = device.board.topology
    if not plan.owned:
        ops = REGISTERS if plan.ops is None else plan.ops
        owner = QomObject("memory-region-portio-list") if plan.port_list else None
        if not device.board.quirks.port_list_objects:
            owner = None
        return MemoryRegion.io(topology, plan.plain, plan.size, ops, owner=owner, parent=device.board.unattached)
    if plan.kind == "container":
        return MemoryRegion(topology, plan.plain, plan.size, owner=device)
    if plan.kind == "iommu":
        return MemoryRegion.iommu(topology, plan.plain, plan.size, owner=device)
    keeper: QomObject = device
    if plan.port_list and device.board.quirks.port_list_objects:
        keeper = QomObject("memory-region-portio-list")
    ops = REGISTERS if plan.ops is None else plan.ops
    return MemoryRegion.io(topology, plan.plain, plan.size, ops, owner=keeper, parent=device)


def _memory(device: Device, plan: RegionPlan) -> MemoryRegion:
    board = device.board
    owner = device if plan.owned else None
    if plan.kind == "rom":
        region = allocate_rom(board.topology, plan.plain, plan.size, owner=owner)
    elif plan.kind == "romd":
        region = allocate_rom_device(board.topology, plan.plain, plan.size, plan.ops or UNASSIGNED_OPS, owner=owner)
    else:
        region = allocate_ram(board.topology, plan.plain, plan.size, owner=owner)
    block = region.ram_block
    assert block is not None
    if plan.block is not None:
        path = device_path(device)
        name = plan.block
        if name.startswith("*/"):
            name = name[2:] if path is None else f"{path}/{name[2:]}"
        board.topology.ram.register(block, name)
    if plan.content is not None:
        data = board.firmware(plan.content)
        block.write(0, data[: plan.size] if data is not None else b"\xff" * plan.size)
    return region


def outside(device: Device, name: str) -> MemoryRegion:
    """The region behind a reference that leaves the device.

    :raises DeviceError: the board has none such.
    """
    board = device.board
    if name.startswith("../"):
        parent = device.parent
        assert isinstance(parent, Device)
        return _named(parent, name[3:])
    if not name.startswith("@"):
        inside, _, region = name.rpartition("/")
        found = device.at(inside)
        assert isinstance(found, Device)
        return _named(found, region)
    if name in ("@system", "@pci") and device.bus is not None and device.bus.kind == "ISA":
        return board.isa_memory if board.family == "pc" else board.system
    if name == "@system":
        return board.system
    if isinstance(device, PciFunction) and name in ("@pci", "@io"):
        return device.pci_bus.memory if name == "@pci" else device.pci_bus.ports
    if name == "@io":
        return board.ports
    if name == "@pci":
        return board.isa_memory
    raise DeviceError(f"{device.type_name} needs a region {name[1:]} that {board.machine.type_name} does not have")


def _named(device: Device, name: str) -> MemoryRegion:
    for region, node in device.regions.items():
        if node is not None and node.name == name:
            return region
    raise DeviceError(f"{device.type_name} has no region {name}")


def build_objects(device: Device, layout: Layout) -> None:
    """The other objects below the device, such as its gpio lines."""
    for name, kind, count in layout.objects:
        if count is None:
            device.add_child(name, QomObject(kind))
        for n in range(count or 0):
            device.add_child(f"{name}[{n}]", QomObject(kind))


def next_name(board: Board, kind: str) -> str:
    """What QEMU calls a bus of type *kind* that nobody named: the type and a number."""
    count = board.bus_numbers.get(kind, 0)
    board.bus_numbers[kind] = count + 1
    return f"{kind.lower()}.{count}"


def build_buses(device: Device, layout: Layout, kind_of: Callable[[str], str]) -> None:
    """The buses behind it, named after its id or numbered by their type."""
    board: Board = device.board
    for name, kind in layout.buses:
        if name == "{id}":
            # the bus is called after the device itself
            known = _nearest_id(device)
            name = "{id}.0" if known is None else known
        base, _, number = name.rpartition(".")
        automatic = base == "{id}" or (base == kind.lower() and number.isdigit())
        if automatic:
            known = _nearest_id(device)
            name = f"{known}.{number}" if known is not None and base == "{id}" else next_name(board, kind)
        single = kind_of(kind) in ("virtio-bus",)
        hot = kind_of(kind) in _HOTPLUG
        bus = Bus(board, kind, kind=kind_of(kind), device=device, hotpluggable=hot, max_devices=int(single))
        device.add_bus(name, bus)


def _nearest_id(device: Device) -> str | None:
    """The id of the device, or of that it is a part of."""
    here: QomObject | None = device
    while isinstance(here, Device):
        if here.id is not None:
            return here.id
        here = here.parent
    return None


def place_of(device: Device, child: ChildPlan) -> Bus | None:
    """The bus that a child device sits on."""
    if child.bus == "@":
        return None
    if not child.bus.startswith("@"):
        return next((bus for bus in device.buses if bus.name == child.bus or len(device.buses) == 1), None)
    if child.bus == "@System":
        return device.board.sysbus
    if child.layout.pci is not None and not isinstance(device.bus, PciBus):
        return next((bus for bus in device.board.pci_buses if isinstance(bus, PciBus)), None)
    return device.bus
