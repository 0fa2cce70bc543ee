"""A small board with the buses that devices need, for tests of devices alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qshim.devices.board import Board
from qshim.devices.catalogue import instantiate
from qshim.devices.errors import DeviceError
from qshim.devices.pci import PciBus
from qshim.devices.qdev import Bus, Device
from qshim.devices.recorded import catalogue
from qshim.memory import Topology
from qshim.memory.allocate import allocate_ram
from qshim.qom import MemoryBackend, QomObject
from qshim.qom.types import qom_types
from qshim.units import SPACE
from qshim.versions import Quirks

PARENTS = {"pc": "i440fx", "q35": "q35"}


def small_board(quirks: Quirks, machine: str, extra: Sequence[str] = ()) -> Board:
    """A board that looks to a device like *machine* without default devices, with the devices of *extra*."""
    name = machine.split(",")[0]
    board = Board(Topology(), quirks, f"{name}-machine")
    board.family = name
    types = qom_types(quirks.label, "x86_64")
    assert types is not None
    board.descends = types.implements
    if name in PARENTS:
        pci = board.container("pci", SPACE)
        board.system.add_subregion(pci, 0, -1)
        board.system.add_subregion(board.alias("smram-region", pci, 0xA0000, 0x20000), 0xA0000, 1)
        host = Device(board, f"{name}-host")
        board.machine.add_child(PARENTS[name], host)
        bus = PciBus(board, "PCI" if name == "pc" else "PCIE", pci, board.ports, hotpluggable=name == "pc")
        host.add_bus("pci.0" if name == "pc" else "pcie.0", bus)
        host.bus = board.sysbus
        board.sysbus.devices.append(host)
        board.pci_buses.append(bus)
        for devfn in (0x00, 0x08) if name == "pc" else (0x00, 0xF8):
            bus.reserved.add(devfn >> 3)
    bridge = Device(board, "isabus-bridge")
    board.sysbus.devices.append(bridge)
    board.machine.add_child("isa", bridge)
    bridge.add_bus("isa.0", Bus(board, "ISA", device=bridge))
    for kind in ("i2c-bus", "IDE", "floppy-bus") if name in PARENTS else ():
        bridge.add_bus(f"{kind}.0", Bus(board, kind, device=bridge))
    if name == "microvm":
        for n in range(24):
            plug = Device(board, "virtio-mmio")
            board.unattached.add_child(f"mmio{n}", plug)
            plug.add_bus(f"virtio-mmio-bus.{n}", Bus(board, "virtio-mmio-bus", kind="virtio-bus", max_devices=1))
            board.sysbus.devices.append(plug)
    for option, value in zip(extra[::2], extra[1::2], strict=True):
        words = value.split(",")
        properties = dict(word.split("=", 1) for word in words[1:])
        if option == "-object" and words[0] == "memory-backend-ram":
            _backend(board, properties)
        elif option == "-device":
            add(board, words[0], properties.pop("id", None), properties)
    return board


def _backend(board: Board, properties: Mapping[str, str]) -> None:
    name, text = properties["id"], properties["size"]
    size = int(text[:-1]) << {"K": 10, "M": 20, "G": 30}[text[-1]]
    owner = QomObject("memory-backend-ram")
    board.objects.add_child(name, owner)
    board.backend_regions[name] = allocate_ram(board.topology, name, size, owner=owner)
    board.backends[name] = MemoryBackend(name, "memory-backend-ram", size)


def add(board: Board, type_name: str, device_id: str | None, properties: Mapping[str, str]) -> Device:
    """`-device TYPE,id=ID,...`.

    :raises DeviceError: QEMU would refuse.
    """
    given = dict(properties)
    wanted = given.pop("bus", None)
    known = catalogue(board.quirks.label)
    assert known is not None
    if known.entry(type_name) is None:
        raise DeviceError(f"'{type_name}' is not a valid device model name")
    bus = _bus(board, type_name, wanted)
    parent = board.peripheral if device_id is not None else board.peripheral_anon
    name = device_id if device_id is not None else f"device[{len(parent.children)}]"
    return instantiate(board, type_name, bus, device_id, given, parent=parent, name=name)


def _kind(board: Board, type_name: str) -> str | None:
    types = qom_types(board.quirks.label, "x86_64")
    assert types is not None
    for base, kind in (
        ("pci-device", "PCI"), ("isa-device", "ISA"), ("usb-device", "usb-bus"), ("virtio-device", "virtio-bus"),
        ("scsi-device", "SCSI"), ("ide-device", "IDE"), ("hda-codec", "HDA"), ("i2c-slave", "i2c-bus"),
        ("ipack-device", "IndustryPack"), ("ccid-card", "ccid-bus"), ("sd-common", "sd-bus"), ("sd-card", "sd-bus"),
        ("floppy", "floppy-bus"), ("nvme-ns", "nvme-bus"), ("ufs-lu", "ufs-bus"), ("vmbus-dev", "vmbus"),
        ("virtio-serial-port", "virtio-serial-bus"), ("xen-device", "xen-bus"), ("sys-bus-device", "System"),
        ("hyperv-synic", "System"),
    ):  # fmt: skip
        if types.implements(type_name, base):
            return kind
    return None


def _bus(board: Board, type_name: str, wanted: str | None) -> Bus | None:
    kind = _kind(board, type_name)
    if wanted is not None:
        for here in _buses(board.sysbus):
            if here.name == wanted or (here.device is not None and here.device.id == wanted):
                return here
        raise DeviceError(f"Bus '{wanted}' not found")
    if kind is None or kind == "System":
        return board.sysbus if kind else None
    found = next((b for b in _buses(board.sysbus) if b.kind == kind and not b.full), None)
    if found is None:
        raise DeviceError(f"No '{kind}' bus found for device '{type_name}'")
    return found


def _buses(bus: Bus) -> list[Bus]:
    out = [bus]
    for device in bus.devices:
        for child in device.buses:
            out += _buses(child)
    return out
