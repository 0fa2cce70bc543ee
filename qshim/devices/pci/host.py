"""How a host bridge reaches configuration space: ports cf8 and cfc, and ECAM (spec/x86-boards.md 5.1, 3.7)."""

from __future__ import annotations

from qshim.devices.pci.bus import PciBus
from qshim.devices.pci.function import CONFIG_SIZE, PciFunction
from qshim.memory import MemoryRegionOps, MemTxAttrs
from qshim.memory.ops import AccessSizes, Endian

__all__ = ["ConfigMechanism", "ecam_ops", "read_config", "write_config"]

ENABLE = 1 << 31
ALL_ONES = 0xFFFFFFFFFFFFFFFF


class ConfigMechanism:
    """Ports cf8 (`index`) and cfc (`data`) of a host bridge whose root bus is *bus*."""

    def __init__(self, bus: PciBus) -> None:
        self.bus = bus
        self.address = 0
        """What cf8 holds."""
        self.index = MemoryRegionOps(read=self._index_read, write=self._index_write, endian=Endian.LITTLE)
        self.data = MemoryRegionOps(read=self._data_read, write=self._data_write, endian=Endian.LITTLE)

    def _index_write(self, offset: int, value: int, size: int, attrs: MemTxAttrs) -> None:
        if offset == 0 and size == 4:
            self.address = value

    def _index_read(self, offset: int, size: int, attrs: MemTxAttrs) -> int:
        return self.address

    def _target(self, offset: int) -> tuple[PciFunction | None, int]:
        address = self.address | offset & 3
        return self.bus.function_at(address >> 16 & 0xFF, address >> 8 & 0xFF), address & 0xFF

    def _data_read(self, offset: int, size: int, attrs: MemTxAttrs) -> int:
        if not self.address & ENABLE:
            return ALL_ONES
        return read_config(*self._target(offset), CONFIG_SIZE, size)

    def _data_write(self, offset: int, value: int, size: int, attrs: MemTxAttrs) -> None:
        if self.address & ENABLE:
            write_config(*self._target(offset), CONFIG_SIZE, value, size)


def ecam_ops(bus: PciBus) -> MemoryRegionOps:
    """The registers of an ECAM window of root bus *bus* (`pcie-mmcfg-mmio`)."""

    def target(offset: int) -> tuple[PciFunction | None, int]:
        return bus.function_at(offset >> 20 & 0xFF, offset >> 12 & 0xFF), offset & 0xFFF

    def read(offset: int, size: int, attrs: MemTxAttrs) -> int:
        function, at = target(offset)
        return read_config(function, at, 0 if function is None else len(function.config), size)

    def write(offset: int, value: int, size: int, attrs: MemTxAttrs) -> None:
        function, at = target(offset)
        write_config(function, at, 0 if function is None else len(function.config), value, size)

    return MemoryRegionOps(read=read, write=write, endian=Endian.LITTLE, valid=AccessSizes(), impl=AccessSizes(0, 0))


def _visible(function: PciFunction | None) -> PciFunction | None:
    """A hot-plugged function without function 0 in its slot is not there yet, nor a virtual one that is off."""
    if (
        function is None
        or function.is_virtual
        or (function.hotplugged and function.devfn & ~7 not in function.pci_bus.slots)
    ):
        return None
    return function


def _limit(function: PciFunction, limit: int) -> int:
    """Conventional buses on the way hide extended configuration space."""
    bus: PciBus | None = function.pci_bus
    while bus is not None:
        if not bus.express:
            return min(limit, CONFIG_SIZE)
        bus = bus.parent_bus if bus.bridge is not None else None
    return limit


def read_config(function: PciFunction | None, offset: int, limit: int, size: int) -> int:
    """A configuration read; nobody there reads as all ones."""
    found = _visible(function)
    if found is None:
        return ALL_ONES
    limit = _limit(found, limit)
    return ALL_ONES if limit <= offset else found.config_read(offset, min(size, limit - offset))


def write_config(function: PciFunction | None, offset: int, limit: int, value: int, size: int) -> None:
    """A configuration write."""
    found = _visible(function)
    if found is not None and offset < (limit := _limit(found, limit)):
        found.config_write(offset, value, min(size, limit - offset))
