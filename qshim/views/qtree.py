"""`info qtree`: buses, the devices on them, and their properties (spec/monitor.md 5.6).

Which properties a type has, in which order and how they print is recorded (the device catalogue);
what a device's own values are is told by the device.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from qshim.devices.board import Board
from qshim.devices.pci.bar import ROM_SLOT, Bar
from qshim.devices.pci.function import PciFunction
from qshim.devices.qdev import Bus, Device
from qshim.views.pci import class_name

__all__ = ["property_value", "qtree_lines", "qtree_text"]

_REGISTERS = re.compile(r"bar \d|class .*, addr ")
"""Lines that follow from configuration space."""
_ASSIGNED = re.compile(r"([A-Za-z0-9_.-]+(?:\[\d+\])?) = (.*)", re.DOTALL)
_NUMBER = re.compile(r"-?\d+ \(0x[0-9a-f]+\)")
_SIZE = re.compile(r"\d+ \([0-9.]+ (?:B|[KMGTPE]iB)\)")
_SAS = 0x3 << 60 | 0x525400 << 36
"""NAA and company of a locally assigned SAS address."""
_NO_SIZE = 0xFFFFFFFF
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def qtree_text(board: Board) -> str:
    """The whole tree."""
    return "".join(f"{line}\n" for line in qtree_lines(board.sysbus, 0))


def qtree_lines(bus: Bus, indent: int) -> Iterator[str]:
    """*bus* with everything on it, the newest device first."""
    name = "main-system-bus" if bus.device is None and bus.type_name == "System" else bus.name
    yield f"{' ' * indent}bus: {name}"
    yield f"{' ' * indent}  type {bus.type_name}"
    for device in reversed(bus.devices):
        yield from _device(device, indent + 2)


def _device(device: Device, indent: int) -> Iterator[str]:
    pad = " " * indent
    yield f'{pad}dev: {device.type_name}, id "{device.id or ""}"'
    for line in _device_lines(device):
        yield f"{pad}  {line}"
    for bus in reversed(device.buses):
        yield from qtree_lines(bus, indent + 2)


def _device_lines(device: Device) -> Iterator[str]:
    """Properties, gpios and addresses of *device*."""
    layout = getattr(device, "layout", None)
    own = getattr(device, "qtree_lines", None)
    lines = own() if own is not None else getattr(layout, "lines", ())
    for line in lines:
        if isinstance(device, PciFunction) and _REGISTERS.match(line):
            continue
        match = _ASSIGNED.fullmatch(line)
        yield line if match is None else f"{match[1]} = {_value(device, match[1], match[2])}"
    if isinstance(device, PciFunction):
        yield _class_line(device)
        for _, bar in sorted(device.bars.items()):
            yield _bar_line(bar)


def _value(device: Device, name: str, shown: str) -> str:
    """The value of property *name*, which prints as *shown* where nobody set it."""
    if isinstance(device, PciFunction):
        own = _function_value(device, name)
        if own is not None:
            return own
    text = device.properties.get(name)
    proxy = device.bus.device if device.bus is not None else None
    if proxy is None or device.parent is not proxy:
        proxy = None
    if text is None and proxy is not None:
        # the device behind a virtio function has what was set for the function
        text = proxy.properties.get(name)
    if text is None:
        text = device.board.global_value(device.type_name, name)
    if proxy is not None:
        if text is None:
            text = device.board.global_value(proxy.type_name, name)
        if name == "memaddr":
            text = str(getattr(proxy, "addr", 0))
    return shown if text is None else _printed(text, shown)


def _function_value(device: PciFunction, name: str) -> str | None:
    """Properties that say where a PCI function is, or what it has become."""
    bus = device.pci_bus.number
    if name == "addr":
        return f"{device.devfn >> 3:02x}.{device.devfn & 7:x}"
    if name == "busnr":
        return f"{bus} (0x{bus:x})"
    if name == "sas_address" and name not in device.properties:
        number = _SAS | bus << 16 | device.devfn >> 3 << 8 | device.devfn & 7
        return f"{number} (0x{number:x})"
    if name == "romsize":
        rom = device.bars.get(ROM_SLOT)
        number = rom.size if rom is not None else device.number_of("romsize", _NO_SIZE)
        return f"{number} (0x{number:x})"
    if name == "disable-legacy" and device.text_of(name, "auto") == "auto":
        express = device.pci_bus.express and not device.pci_bus.is_root
        return '"on"' if express else None
    return None


def _printed(text: str, like: str) -> str:
    """*text*, as a user wrote it, in the form that *like* has."""
    if like in ("true", "false"):
        return "true" if text in ("on", "yes", "true", "y") else "false"
    if like.startswith('"/objects/') and not text.startswith("/"):
        return f'"/objects/{text}"'
    if like.startswith('"') or like == "":
        return f'"{text}"'
    if _SIZE.fullmatch(like):
        number = _bytes(text)
        return like if number is None else f"{number} ({_size_text(number)})"
    if _NUMBER.fullmatch(like):
        number = _bytes(text)
        return like if number is None else f"{number} (0x{number % (1 << 64):x})"
    return text


def _bytes(text: str) -> int | None:
    match = re.fullmatch(r"(-?(?:0[xX][0-9a-fA-F]+|\d+(?:\.\d+)?))([bBkKmMgGtTpPeE]?)", text)
    if match is None:
        return None
    scale = 1 << 10 * "bkmgtpe".index(match[2].lower()) if match[2] else 1
    if "." in match[1]:
        return int(float(match[1]) * scale)
    return int(match[1], 0 if match[1].lstrip("-")[:2].lower() == "0x" else 10) * scale


def _size_text(number: int) -> str:
    """A size in the largest unit of which it is at least one (`1.5 GiB`)."""
    unit = 0
    value = float(number)
    while value >= 1024 and unit + 1 < len(_UNITS):
        value /= 1024
        unit += 1
    return f"{value:.3g} {_UNITS[unit]}"


def _class_line(device: PciFunction) -> str:
    config = device.config
    kind = class_name(device) or f"Class {int.from_bytes(config[0x0A:0x0C], 'little'):04x}"

    def word(at: int) -> int:
        return int.from_bytes(config[at : at + 2], "little")

    return (
        f"class {kind}, addr {device.pci_bus.number:02x}:{device.devfn >> 3:02x}.{device.devfn & 7:x}, "
        f"pci id {word(0):04x}:{word(2):04x} (sub {word(0x2C):04x}:{word(0x2E):04x})"
    )


def _bar_line(bar: Bar) -> str:
    address = (1 << 64) - 1 if bar.address is None else bar.address
    last = (address + bar.size - 1) % (1 << 64)
    return f"bar {bar.index}: {'i/o' if bar.is_io else 'mem'} at 0x{address:x} [0x{last:x}]"


def property_value(device: Device, name: str) -> object:
    """What qom-get answers for property *name* of *device*, as far as its values are known; None: not known."""
    known = {
        "realized": device.realized, "hotplugged": device.hotplugged, "hotpluggable": True,
        "parent_bus": "" if device.bus is None else device.bus.path,
    }  # fmt: skip
    if name in known:
        return known[name]
    told = getattr(device, "told", None)
    if told is not None and name in ("addr", "slot", "node", "size", "memdev", "memaddr") and not _is_function(device):
        found: object = told()["data"].get(name)
        return found
    if _is_function(device) and name in ("addr", "legacy-addr"):
        assert isinstance(device, PciFunction)
        shown = f"{device.devfn >> 3:02x}.{device.devfn & 7:x}"
        return device.devfn if name == "addr" else shown
    for line in getattr(getattr(device, "layout", None), "lines", ()):
        match = _ASSIGNED.fullmatch(line)
        if match is not None and match[1] == name:
            return _typed(_value(device, name, match[2]))
    return None


def _is_function(device: Device) -> bool:
    return isinstance(device, PciFunction)


def _typed(shown: str) -> object:
    if shown in ("true", "false"):
        return shown == "true"
    if shown.startswith('"'):
        return shown[1:-1]
    number = re.match(r"-?\d+(?= \()", shown)
    return int(number[0]) if number is not None else None
