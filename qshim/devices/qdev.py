"""Device and Bus: QEMU's qdev, as far as layout, paths and plugging are concerned (spec/x86-boards.md 2.1).

A device hangs in the composition tree (where its path comes from) and sits on a bus (where its
addresses come from). Realizing it makes its regions; devices without a parent are numbered below
/machine/unattached in that order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from qshim.qom import QomObject

if TYPE_CHECKING:
    from qshim.devices.board import Board
    from qshim.memory import MemoryRegion

__all__ = ["Bus", "Device"]

_UNITS = "bkmgtpe"


class Bus(QomObject):
    """What devices are plugged into. *kind* is the type that `-device help` calls its bus (`PCI`, `ISA`)."""

    __slots__ = ("board", "device", "devices", "hotpluggable", "kind", "max_devices")

    def __init__(
        self,
        board: Board,
        type_name: str,
        *,
        kind: str | None = None,
        device: Device | None = None,
        hotpluggable: bool = False,
        max_devices: int = 0,
    ) -> None:
        super().__init__(type_name)
        self.board = board
        self.kind = type_name if kind is None else kind
        self.device = device
        """The device it belongs to; None for main-system-bus."""
        self.devices: list[Device] = []
        """The devices on it, in the order they were plugged (`info qtree` lists the newest first)."""
        self.hotpluggable = hotpluggable
        self.max_devices = max_devices
        """How many fit on it; 0: any number."""

    @property
    def full(self) -> bool:
        """Nothing more fits."""
        return bool(self.max_devices) and len(self.devices) >= self.max_devices


class Device(QomObject):
    """A device of type *type_name* with the *properties* that were set for it, as text.

    Subclasses make their regions in `realize` and undo that in `unrealize`.
    """

    __slots__ = ("board", "bus", "buses", "description", "hotplugged", "properties", "realized", "regions")

    def __init__(
        self,
        board: Board,
        type_name: str,
        *,
        device_id: str | None = None,
        properties: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(type_name, is_device=True, device_id=device_id)
        self.board = board
        self.bus: Bus | None = None
        self.buses: list[Bus] = []
        """Child buses, the oldest first."""
        self.properties: dict[str, str] = dict(properties or {})
        """What was set by the user or the board; see `text_of` for what holds then."""
        self.hotplugged = False
        self.realized = False
        self.description: Mapping[str, object] = {}
        """Its entry in the device catalogue, empty where there is none."""
        self.regions: dict[MemoryRegion, QomObject | None] = {}
        """Its regions in order of creation, with their places in the object tree."""

    def text_of(self, name: str, default: str = "") -> str:
        """The value of property *name*: set on this device, else for all of its type (`-global`, machine type)."""
        found = self.properties.get(name)
        if found is None:
            found = self.board.global_value(self.type_name, name)
        return default if found is None else found

    def is_on(self, name: str, default: bool = False) -> bool:
        """A boolean property."""
        text = self.text_of(name)
        return default if not text else text in ("on", "yes", "true", "y")

    def number_of(self, name: str, default: int = 0) -> int:
        """An integer property; text is taken as C does (`0x10`, `010`, `16`)."""
        text = self.text_of(name)
        if not text:
            return default
        digits = text.lstrip("+-")
        octal = len(digits) > 1 and digits[0] == "0" and digits.isdigit()
        return int(text, 8 if octal else 0)

    def size_of(self, name: str, default: int = 0) -> int:
        """A size property in bytes; suffixes count in KiB, MiB ..."""
        text = self.text_of(name)
        if text and text[-1].lower() in _UNITS and text[:2].lower() != "0x":
            return int(float(text[:-1]) * (1 << 10 * _UNITS.index(text[-1].lower())))
        return self.number_of(name, default)

    def realize(self) -> None:
        """Make regions, address spaces, RAM blocks and buses.

        :raises DeviceError: QEMU would refuse, in its words.
        """

    def machine_done(self) -> None:
        """The whole machine is there (QEMU's machine-done notifiers), or the device was hot-plugged."""

    def reset(self) -> None:
        """What system_reset restores."""

    def unrealize(self) -> None:
        """Take regions and address spaces away again."""

    def drop_region(self, region: MemoryRegion) -> None:
        """Unmap one of its regions and let it go, with its place in the object tree and its RAM block."""
        node = self.regions.pop(region, None)
        if node is not None and node.parent is not None:
            node.parent.remove_child(node)
        if region.container is not None:
            region.container.del_subregion(region)
        region.finalize()

    def drop_regions(self) -> None:
        """Let all of its regions go, the newest first."""
        for region in reversed(tuple(self.regions)):
            self.drop_region(region)

    def add_bus(self, name: str, bus: Bus) -> Bus:
        """A child bus under *name*."""
        bus.device = self
        self.add_child(name, bus)
        self.buses.append(bus)
        return bus

    def each_bus(self, visit: Callable[[Bus], None]) -> None:
        """*visit* every bus below this device, parents first."""
        for bus in self.buses:
            visit(bus)
            for device in bus.devices:
                device.each_bus(visit)
