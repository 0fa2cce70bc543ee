"""USB devices: which port of their bus each takes, and how fast it talks there (`info qtree`).

A bus gives its ports out in order; for a device that would take the last one QEMU makes a hub first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from qshim.devices.catalogue import CatalogueDevice, instantiate
from qshim.devices.chipset.storage import DiskHolder
from qshim.devices.errors import DeviceError
from qshim.devices.qdev import Bus, Device

__all__ = ["USB_CLASSES", "UsbDevice", "UsbStorage"]

LOW, FULL, HIGH, SUPER = "low", "full", "high", "super"
_RATES = {LOW: "1.5", FULL: "12", HIGH: "480", SUPER: "5000"}
"""Speed -> megabits a second, as they are printed."""
_ORDER = (LOW, FULL, HIGH, SUPER)
_SPEEDS = {"12": (FULL,), "480": (FULL, HIGH), "5000": (FULL, HIGH, SUPER)}
"""The fastest speed of a device -> all of its speeds."""
_ONLY = {"usb-uas": (HIGH, SUPER)}
HUB_PORTS = 8
_PLACE = re.compile(r"addr \d+\.(\d+), port [\d.]+, speed ([\d.]+), name (.*?)(, attached)?")
_LATE = ("usb-host", "usb-redir", "u2f-passthru")
"""Types that are attached once there is something to attach."""


def _ports(controller: Device) -> list[tuple[str, tuple[str, ...]]]:
    """(name, speeds) of the ports of *controller*; empty where nobody knows them."""
    kind = controller.type_name
    if "xhci" in kind:
        older, newer = controller.number_of("p2", 4), controller.number_of("p3", 4)
        return [
            (str(n + 1), (*((LOW, FULL, HIGH) if n < older else ()), *((SUPER,) if n < newer else ())))
            for n in range(max(older, newer))
        ]
    if "ehci" in kind:
        shared = any(_has_master(other) for other in controller.board.devices)
        return [(str(n + 1), (LOW, FULL, HIGH) if shared else (HIGH,)) for n in range(6)]
    if "uhci" in kind:
        return [(str(n + 1), (LOW, FULL)) for n in range(2)]
    if "ohci" in kind:
        return [(str(n + 1), (LOW, FULL)) for n in range(controller.number_of("num-ports", 3))]
    return []


def _has_master(device: Device) -> bool:
    """It is the companion of a faster controller, whose ports it serves."""
    lines = getattr(getattr(device, "layout", None), "lines", ())
    return bool(device.properties.get("masterbus")) or any(
        line.startswith('masterbus = "') and line != 'masterbus = ""' for line in lines
    )


def _free(bus: Bus) -> dict[str, tuple[str, ...]]:
    """Ports of *bus* that nobody has taken, in the order in which they are given out."""
    found = dict(_ports(bus.device)) if bus.device is not None else {}
    taken = {device: device.port for device in bus.devices if isinstance(device, UsbDevice) and device.port}
    for hub, port in taken.items():
        if hub.type_name == "usb-hub":
            found.update((f"{port}.{n + 1}", (LOW, FULL)) for n in range(hub.number_of("ports", HUB_PORTS)))
    for port in taken.values():
        found.pop(port, None)
    return found


def _buses(device: Device) -> Iterator[Bus]:
    for other in device.board.devices:
        yield from (bus for bus in other.buses if bus.type_name == "usb-bus")


class UsbDevice(CatalogueDevice):
    """A device on a USB bus."""

    port: str | None = None
    """The port that it has taken: its number, behind those of the hubs in front of it."""

    def realize(self) -> None:
        """Take a port.

        :raises DeviceError: there is none, or the device is too fast or too slow for it.
        """
        if self.bus is not None and self.bus.device is not None and _ports(self.bus.device):
            self._take_port(self.bus)
        super().realize()

    def _take_port(self, bus: Bus) -> None:
        asked = self.text_of("port")
        free = _free(bus)
        if not asked and len(free) == 1 and self.type_name != "usb-hub":
            with suppress(DeviceError):
                instantiate(self.board, "usb-hub", bus)
            free = _free(bus)
        shown = next((match for line in self.layout.lines if (match := _PLACE.fullmatch(line))), None)
        if shown is None:
            return
        name = shown[3]
        if asked and asked not in free:
            raise DeviceError(f"usb port {asked} (bus {bus.name}) not found (in use?)")
        if not free:
            raise DeviceError(f"tried to attach usb device {name} to a bus with no free ports")
        port = asked or next(iter(free))
        speeds = _ONLY.get(self.type_name) or _SPEEDS.get(shown[2], ())
        if self.type_name in ("usb-kbd", "usb-mouse", "usb-tablet") and self.number_of("usb_version", 2) == 1:
            speeds = (FULL,)
        common = [speed for speed in _ORDER if speed in speeds and speed in free[port]]
        if speeds and not common and self.type_name not in _LATE:
            # QEMU has no word for low speed here
            mine, theirs = "+".join(speeds), "+".join(speed for speed in free[port] if speed != LOW)
            raise DeviceError(
                f'Warning: speed mismatch trying to attach usb device "{name}" ({mine} speed) to bus "{bus.name}", '
                f'port "{port}" ({theirs} speed)'
            )
        self.port = port
        number = next((n for n, other in enumerate(_buses(self)) if other is bus), 0)
        rate = _RATES[common[-1]] if common and shown[4] else shown[2]
        text = f"addr {number}.{shown[1]}, port {port}, speed {rate}, name {name}{shown[4] or ''}"
        self.layout.lines = tuple(text if _PLACE.fullmatch(line) else line for line in self.layout.lines)


class UsbStorage(UsbDevice, DiskHolder):
    """usb-storage."""


_TYPES = ("audio", "bot", "braille", "ccid", "host", "hub", "kbd", "mouse", "mtp", "net", "redir", "serial", "tablet",
          "uas", "wacom-tablet")  # fmt: skip
USB_CLASSES: dict[str, Any] = {"usb-storage": UsbStorage, **{f"usb-{name}": UsbDevice for name in _TYPES}}
"""Type -> its class."""
