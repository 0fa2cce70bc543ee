"""platform-bus-device: where devices go that users put on the system bus (spec/virt-boards.md 5.4)."""

from __future__ import annotations

from qshim.devices.board import Board
from qshim.devices.catalogue import CatalogueDevice
from qshim.devices.errors import DeviceError
from qshim.devices.qdev import Device
from qshim.devices.sysbus import place
from qshim.memory import MemoryRegion

__all__ = ["PlatformBus", "make_platform_bus"]


class PlatformBus:
    """The window *region*; each device gets the first room that is free."""

    def __init__(self, region: MemoryRegion) -> None:
        self.region = region

    @staticmethod
    def expect(device: Device) -> None:
        """Let the registers of *device*, which was recorded on such a bus, be mapped nowhere before `take`."""
        if isinstance(device, CatalogueDevice):
            for plan in device.layout.regions:
                if plan.container == "@platform bus":
                    plan.container = None

    def take(self, device: Device) -> None:
        """Map the registers of *device*.

        :raises DeviceError: there is no room left.
        """
        for region in tuple(device.regions):
            if region.container is None and region.alias is None:
                self.region.add_subregion(region, self._room(region.size))

    def _room(self, size: int) -> int:
        step = 1 << max(size - 1, 0).bit_length()
        taken = [(each.addr, each.addr + each.size) for each in self.region.subregions]
        for start in range(0, self.region.size - size + 1, step):
            if all(start + size <= low or high <= start for low, high in taken):
                return start
        raise DeviceError(f"Platform Bus: Can not fit MMIO region of size {size:x}")


def make_platform_bus(board: Board, at: int) -> PlatformBus:
    """Plug a platform bus whose window is at address *at*."""

    def tell(device: CatalogueDevice) -> None:
        device.layout.at("platform bus").kind = "container"

    name = "platform-bus-device"
    device = place(board, name, {"platform bus": at}, machine="virt", device_id=name, tell=tell)
    return PlatformBus(device.made["platform bus[0]"])
