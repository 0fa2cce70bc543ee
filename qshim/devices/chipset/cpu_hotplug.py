"""acpi-cpu-hotplug: the legacy registers give way to the modern ones for good (spec/x86-boards.md 3.2)."""

from __future__ import annotations

from qshim.devices.build import REGISTERS
from qshim.devices.catalogue import CatalogueFunction
from qshim.devices.layout import Layout
from qshim.memory import MemoryRegionOps
from qshim.memory.ops import AccessSizes, Endian, MemTxAttrs

__all__ = ["CpuHotplug"]

NAME = "acpi-cpu-hotplug"
LEGACY_SIZE, MODERN_SIZE = 0x20, 0xC


class CpuHotplug:
    """The registers of a power management function."""

    def __init__(self, function: CatalogueFunction) -> None:
        self.function = function

    @classmethod
    def of(cls, function: CatalogueFunction, layout: Layout) -> CpuHotplug | None:
        """Watch the legacy registers of *layout*, if it has them and the machine type lets them switch."""
        plan = layout.region(NAME)
        if plan is None or plan.size != LEGACY_SIZE:
            return None
        made = cls(function)
        plan.ops = MemoryRegionOps(read=REGISTERS.read, write=made.write, endian=Endian.LITTLE, valid=AccessSizes(1, 1))
        return made

    def write(self, offset: int, value: int, size: int, attrs: MemTxAttrs) -> None:
        """Writing 0 into the first byte switches."""
        if offset or value:
            return
        function = self.function
        old = function.made[f"{NAME}[0]"]
        container = old.container
        if container is None or function.board.legacy_cpu_hotplug:
            return
        with function.board.topology.transaction():
            container.del_subregion(old)
            new = function.board.io(NAME, MODERN_SIZE, function, REGISTERS)
            container.add_subregion(new, old.addr)
