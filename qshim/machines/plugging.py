"""Where a -device goes: its type, its bus, and QEMU's words where there is none (spec/x86-boards.md 5.4)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from qshim.argv.dialect import option_help
from qshim.devices.board import Board
from qshim.devices.errors import DeviceError
from qshim.devices.qdev import Bus
from qshim.qom.types import QomTypes

__all__ = ["DeviceTypes", "device_types", "find_bus", "nic_types"]

_ROW = re.compile(r'name "([^"]+)"(?:, bus ([^,\n]+))?(?:, alias "([^"]+)")?')


@dataclass(frozen=True, slots=True)
class DeviceTypes:
    """What -device takes."""

    buses: Mapping[str, str | None]
    """Type -> the kind of bus it needs, None: no bus."""
    aliases: Mapping[str, str]

    def named(self, name: str, types: QomTypes | None) -> str:
        """The type that *name* means.

        :raises DeviceError: no such type, or none that a user can add.
        """
        found = self.aliases.get(name, name)
        if found in self.buses:
            return found
        if types is None or found not in types.by_name or not types.implements(found, "device"):
            raise DeviceError(f"'{name}' is not a valid device model name")
        if types.by_name[found].get("abstract"):
            raise DeviceError("Parameter 'driver' expects a non-abstract device type")
        raise DeviceError("Parameter 'driver' expects a pluggable device type")


@cache
def device_types(label: str, target: str) -> DeviceTypes:
    """From what `-device help` prints."""
    text = option_help(label, target).get("-device help", (0, ""))[1]
    buses: dict[str, str | None] = {}
    aliases: dict[str, str] = {}
    for line in text.splitlines():
        match = _ROW.match(line)
        if match is not None:
            buses[match[1]] = match[2]
            if match[3]:
                aliases[match[3]] = match[1]
    return DeviceTypes(buses, aliases)


@cache
def nic_types(label: str, target: str) -> frozenset[str]:
    """Types that `-device help` lists as network devices."""
    text = option_help(label, target).get("-device help", (0, ""))[1]
    section = text.partition("Network devices:\n")[2].partition("\n\n")[0]
    return frozenset(match[1] for match in map(_ROW.match, section.splitlines()) if match is not None)


def find_bus(board: Board, types: QomTypes | None, type_name: str, kind: str | None, asked: str | None) -> Bus | None:
    """The bus for a device of *type_name*, which needs one of *kind*; *asked* is what bus= says.

    :raises DeviceError: there is none, or it is full or of another kind.
    """

    def fits(bus: Bus) -> bool:
        name = bus.type_name
        if kind in (name, bus.kind):
            return True
        return types is not None and kind is not None and types.implements(name, kind)

    if asked is not None:
        bus = next((bus for bus in _buses(board) if bus.name == asked), None) or _by_path(board, asked)
        if bus is None:
            raise DeviceError(f"Bus '{asked}' not found")
        if bus.full:
            raise DeviceError(f"Bus '{asked}' is full")
        if kind is None or not fits(bus):
            raise DeviceError(f"Device '{type_name}' can't go on {bus.type_name} bus")
        return bus
    if kind is None:
        return None
    full = None
    for bus in _buses(board):
        if fits(bus):
            if not bus.full:
                return bus
            full = full or bus
    if full is not None:
        raise DeviceError(board.quirks.full_bus_text.format(kind, type_name))
    raise DeviceError(f"No '{kind}' bus found for device '{type_name}'")


def _buses(board: Board) -> Iterator[Bus]:
    """All buses in the order in which QEMU searches: the newest device and the newest bus first, depth first."""
    stack = [board.sysbus]
    while stack:
        bus = stack.pop()
        yield bus
        inner = [child for device in reversed(bus.devices) for child in reversed(device.buses)]
        stack.extend(reversed(inner))


def _by_path(board: Board, path: str) -> Bus | None:
    if not path.startswith("/"):
        return None
    found = board.root.at(path)
    return found if isinstance(found, Bus) else None
