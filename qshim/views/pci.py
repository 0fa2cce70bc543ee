"""PCI functions as query-pci tells of them, and `info pci`, which is made of that (spec/monitor.md 5.6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qshim.devices.board import Board
from qshim.devices.pci.bar import Bar
from qshim.devices.pci.bridge import PciBridge
from qshim.devices.pci.bus import PciBus
from qshim.devices.pci.function import PciFunction
from qshim.versions import Quirks

__all__ = ["class_name", "pci_buses", "pci_text"]

Row = dict[str, Any]

CLASS, SUBSYSTEM, INTERRUPT_LINE, INTERRUPT_PIN = 0x0A, 0x2C, 0x3C, 0x3D
SECONDARY, SUBORDINATE, PRIMARY = 0x19, 0x1A, 0x18

_CLASSES = {
    0x0100: "SCSI controller", 0x0101: "IDE controller", 0x0102: "Floppy controller", 0x0103: "IPI controller",
    0x0104: "RAID controller", 0x0106: "SATA controller", 0x0107: "SAS controller", 0x0180: "Storage controller",
    0x0200: "Ethernet controller", 0x0201: "Token Ring controller", 0x0202: "FDDI controller",
    0x0203: "ATM controller", 0x0280: "Network controller", 0x0300: "VGA controller", 0x0301: "XGA controller",
    0x0302: "3D controller", 0x0380: "Display controller", 0x0400: "Video controller", 0x0401: "Audio controller",
    0x0402: "Phone", 0x0403: "Audio controller", 0x0480: "Multimedia controller", 0x0500: "RAM controller",
    0x0501: "Flash controller", 0x0580: "Memory controller", 0x0600: "Host bridge", 0x0601: "ISA bridge",
    0x0602: "EISA bridge", 0x0603: "MC bridge", 0x0604: "PCI bridge", 0x0605: "PCMCIA bridge",
    0x0606: "NUBUS bridge", 0x0607: "CARDBUS bridge", 0x0608: "RACEWAY bridge", 0x0680: "Bridge",
    0x0700: "Serial port", 0x0701: "Parallel port", 0x0800: "Interrupt controller", 0x0801: "DMA controller",
    0x0802: "Timer", 0x0803: "RTC", 0x0900: "Keyboard", 0x0901: "Pen", 0x0902: "Mouse", 0x0A00: "Dock station",
    0x0B00: "i386 cpu", 0x0B01: "i486 cpu", 0x0B02: "Pentium cpu", 0x0C00: "Firewire controller",
    0x0C01: "Access bus controller", 0x0C02: "SSA controller", 0x0C03: "USB controller",
    0x0C04: "Fibre channel controller", 0x0C05: "SMBus",
}  # fmt: skip
"""Classes that QEMU has a word for."""


def class_name(function: PciFunction) -> str | None:
    """What the class of *function* is called, None where QEMU has no word."""
    told = getattr(getattr(function, "layout", None), "pci", None)
    for line in getattr(told, "lines", ())[:1]:
        name: str = line.partition(": PCI device")[0]
        return None if name.startswith("Class ") else name
    return _CLASSES.get(int.from_bytes(function.config[CLASS : CLASS + 2], "little"))


def pci_buses(board: Board) -> list[Row]:
    """query-pci."""
    return [_bus(bus) for bus in reversed(board.pci_buses) if isinstance(bus, PciBus)]


def _bus(bus: PciBus) -> Row:
    return {"bus": bus.number, "devices": _devices(bus)}


def _devices(bus: PciBus) -> list[Row]:
    return [_function(bus.slots[devfn]) for devfn in sorted(bus.slots)]


def _function(function: PciFunction) -> Row:
    config = function.config

    def word(at: int) -> int:
        return int.from_bytes(config[at : at + 2], "little")

    kind = class_name(function)
    row: Row = {
        "bus": function.pci_bus.number, "slot": function.devfn >> 3, "function": function.devfn & 7,
        "class_info": {"class": word(CLASS), **({"desc": kind} if kind else {})},
        "id": {"device": word(2), "vendor": word(0)},
        "irq_pin": config[INTERRUPT_PIN], "qdev_id": function.id or "",
        "regions": [_region(bar) for _, bar in sorted(function.bars.items())],
    }  # fmt: skip
    if config[INTERRUPT_PIN]:
        row["irq"] = config[INTERRUPT_LINE]
    if isinstance(function, PciBridge):
        row["pci_bridge"] = _bridge(function)
    else:
        row["id"] |= {"subsystem": word(SUBSYSTEM + 2), "subsystem-vendor": word(SUBSYSTEM)}
    return row


def _region(bar: Bar) -> Row:
    row: Row = {"bar": bar.index, "size": bar.size, "address": -1 if bar.address is None else bar.address}
    if bar.is_io:
        return {**row, "type": "io"}
    return {**row, "type": "memory", "prefetch": bool(bar.kind & 8), "mem_type_64": bool(bar.kind & 4)}


def _bridge(bridge: PciBridge) -> Row:
    config = bridge.config

    def window(found: tuple[int, int]) -> Row:
        return {"base": found[0], "limit": found[1]}

    row: Row = {
        "bus": {
            "number": config[PRIMARY], "secondary": config[SECONDARY], "subordinate": config[SUBORDINATE],
            "io_range": window(bridge.io_window()), "memory_range": window(bridge.memory_window()),
            "prefetchable_range": window(bridge.prefetch_window()),
        }
    }  # fmt: skip
    if config[SECONDARY]:
        below = bridge.pci_bus.find_bus(config[SECONDARY])
        if below is not None:
            row["devices"] = _devices(below)
    return row


def pci_text(buses: Sequence[Mapping[str, Any]], quirks: Quirks) -> str:
    """`info pci`."""
    lines: list[str] = []
    for bus in buses:
        for device in bus["devices"]:
            _print(device, quirks, lines)
    return "".join(f"{line}\n" for line in lines)


def _print(device: Mapping[str, Any], quirks: Quirks, lines: list[str]) -> None:
    lines.append(f"  Bus {device['bus']:2d}, device {device['slot']:3d}, function {device['function']}:")
    kind = device["class_info"]
    name = kind.get("desc") or f"Class {kind['class']:04d}"
    identity = device["id"]
    lines.append(f"    {name}: PCI device {identity['vendor']:04x}:{identity['device']:04x}")
    if "subsystem" in identity:
        lines.append(f"      PCI subsystem {identity['subsystem-vendor']:04x}:{identity['subsystem']:04x}")
    if "irq" in device:
        lines.append(f"      IRQ {device['irq']}, pin {chr(ord('A') + device['irq_pin'] - 1)}")
    bridge = device.get("pci_bridge")
    if bridge is not None:
        bus = bridge["bus"]
        lines.append(f"      BUS {bus['number']}.")
        lines.append(f"      secondary bus {bus['secondary']}.")
        lines.append(f"      subordinate bus {bus['subordinate']}.")
        for word, key, width in (("IO", "io_range", 4), ("memory", "memory_range", 8),
                                 ("prefetchable memory", "prefetchable_range", 8)):  # fmt: skip
            base, limit = bus[key]["base"], bus[key]["limit"]
            lines.append(f"      {word} range [0x{base:0{width}x}, 0x{limit:0{width}x}]")
    for region in device["regions"]:
        lines.append(_bar_line(region, quirks))
    lines.append(f'      id "{device["qdev_id"]}"')
    for child in (bridge or {}).get("devices", ()):
        _print(child, quirks, lines)


def _bar_line(region: Mapping[str, Any], quirks: Quirks) -> str:
    address, size = region["address"], region["size"]
    if region["type"] == "io":
        what, width = "I/O", 4
    else:
        bits = 64 if region["mem_type_64"] else 32
        what, width = f"{bits} bit {'prefetchable ' if region['prefetch'] else ''}memory", 8
    begin = f"      BAR{region['bar']}: {what}"
    if address == -1 and not quirks.pci_shows_unmapped_addresses:
        return f"{begin} (not mapped)"
    last = (address + size - 1) % (1 << 64)
    end = "." if quirks.pci_shows_unmapped_addresses else ""
    return f"{begin} at 0x{address % (1 << 64):0{width}x} [0x{last:0{width}x}]{end}"
