"""Device models: what they add to memory, ports and the object tree, and how their registers move it.

A device knows the `Board` it is plugged into, and nothing of machine types, monitors or text. Most
types are alike and are made from a catalogue of data that was recorded from real QEMU
(data/devices-*.json.xz); code exists where a property or a register changes the layout.
"""

from __future__ import annotations

from qshim.devices.board import Board
from qshim.devices.errors import DeviceError
from qshim.devices.qdev import Bus, Device

__all__ = ["Board", "Bus", "Device", "DeviceError"]
