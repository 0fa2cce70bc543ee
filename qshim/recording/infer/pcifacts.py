"""Where the PCI devices with an id are plugged, from query-pci: block names hold that place."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["device_paths"]


def device_paths(reply: object) -> dict[str, str]:
    """Device id -> place as block names have it (`02.0`; behind a bridge `07.0:03.0`, spec/memory.md 5.4).

    *reply* is what query-pci returned; anything else gives nothing.

    >>> device_paths([{"bus": 0, "devices": [{"slot": 2, "function": 0, "qdev_id": "vga2"}]}])
    {'vga2': '02.0'}
    """
    found: dict[str, str] = {}
    stack: list[tuple[str, object]] = []
    for bus in reply if isinstance(reply, list) else ():
        if isinstance(bus, Mapping):
            stack.append(("", bus.get("devices")))
    while stack:
        above, devices = stack.pop()
        for device in devices if isinstance(devices, list) else ():
            if not isinstance(device, Mapping):
                continue
            slot, function = device.get("slot"), device.get("function")
            if not isinstance(slot, int) or not isinstance(function, int):
                continue
            place = f"{above}{slot:02x}.{function:x}"
            name = device.get("qdev_id")
            if isinstance(name, str) and name:
                found[name] = place
            bridge = device.get("pci_bridge")
            if isinstance(bridge, Mapping):
                stack.append((f"{place}:", bridge.get("devices")))
    return found
