"""VGA adapters: in chain-4 mode video memory itself shows at the legacy addresses (spec/x86-boards.md 3.14)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from qshim.devices.catalogue import CatalogueDevice, CatalogueFunction
from qshim.devices.layout import Layout
from qshim.memory import MemoryRegion, MemoryRegionOps
from qshim.memory.ops import AccessSizes, Endian, MemTxAttrs

if TYPE_CHECKING:
    from qshim.devices.board import Board

__all__ = ["IsaVga", "PciVga"]

SEQUENCER_INDEX, SEQUENCER_DATA, GRAPHICS_INDEX, GRAPHICS_DATA = 0x3C4, 0x3C5, 0x3CE, 0x3CF
SEQUENCER_MASKS = (0x03, 0x3D, 0x0F, 0x3F, 0x0E, 0x00, 0x00, 0xFF)
GRAPHICS_MASKS = (0x0F, 0x0F, 0x0F, 0x1F, 0x03, 0x7B, 0x0F, 0x0F, 0xFF, 0, 0, 0, 0, 0, 0, 0)
PLANE_WRITE, MEMORY_MODE, MISCELLANEOUS = 2, 4, 6
ALL_PLANES, CHAIN_4 = 0x0F, 0x08
WINDOWS = ((0xA0000, 0x20000), (0xA0000, 0x10000), (0xB0000, 0x8000), (0xB8000, 0x8000))
"""Where memory shows, by bits 3:2 of the miscellaneous register."""
FIRST_PORT, PORTS, REMAPPED = 0x3C0, "vga[2]", "vga ioports remapped[0]"


class _Legacy:
    """Sequencer and graphics registers, as far as they move memory."""

    if TYPE_CHECKING:
        board: Board
        made: Mapping[str, MemoryRegion]

    def prepare(self, layout: Layout) -> None:
        """Watch the ports, and their twins in memory."""
        self.clear()
        self.chain4: MemoryRegion | None = None
        for name in (PORTS, REMAPPED):
            plan = layout.region(name)
            if plan is not None:
                plan.ops = MemoryRegionOps(
                    read=self.port_read, write=self.port_write, endian=Endian.LITTLE, impl=AccessSizes(1, 1)
                )

    def clear(self) -> None:
        """All registers are 0."""
        self.index = {SEQUENCER_INDEX: 0, GRAPHICS_INDEX: 0}
        self.sequencer, self.graphics = bytearray(8), bytearray(16)

    def port_read(self, offset: int, size: int, attrs: MemTxAttrs) -> int:
        """A register, 0 where nobody models it."""
        port = FIRST_PORT + offset
        if port in self.index:
            return self.index[port]
        if port == SEQUENCER_DATA:
            return self.sequencer[self.index[SEQUENCER_INDEX]]
        return self.graphics[self.index[GRAPHICS_INDEX]] if port == GRAPHICS_DATA else 0

    def port_write(self, offset: int, value: int, size: int, attrs: MemTxAttrs) -> None:
        """Index registers choose, data registers act."""
        port = FIRST_PORT + offset
        if port == SEQUENCER_INDEX:
            self.index[port] = value & 7
        elif port == GRAPHICS_INDEX:
            self.index[port] = value & 15
        elif port == SEQUENCER_DATA:
            number = self.index[SEQUENCER_INDEX]
            self.sequencer[number] = value & SEQUENCER_MASKS[number]
            self.show()
        elif port == GRAPHICS_DATA:
            number = self.index[GRAPHICS_INDEX]
            self.graphics[number] = value & GRAPHICS_MASKS[number]
            self.show()

    def legacy_memory(self) -> MemoryRegion:
        """Where the legacy addresses are."""
        raise NotImplementedError

    def show(self) -> None:
        """Map video memory anew, or not at all."""
        with self.board.topology.transaction():
            if self.chain4 is not None:
                self.drop_region(self.chain4)
                self.chain4 = None
            every = self.sequencer[PLANE_WRITE] & ALL_PLANES == ALL_PLANES
            if not every or not self.sequencer[MEMORY_MODE] & CHAIN_4:
                return
            base, size = WINDOWS[self.graphics[MISCELLANEOUS] >> 2 & 3]
            self.chain4 = self.board.alias("vga.chain4", self.made["vga.vram[0]"], 0, size, self)  # type: ignore[arg-type]
            self.legacy_memory().add_subregion(self.chain4, base, 2)

    def drop_region(self, region: MemoryRegion) -> None:
        """As `Device` does."""
        raise NotImplementedError


class PciVga(_Legacy, CatalogueFunction):
    """A VGA function."""

    drop_region = CatalogueFunction.drop_region

    def legacy_memory(self) -> MemoryRegion:
        """Memory of its bus."""
        return self.pci_bus.memory

    def reset(self) -> None:
        """Registers are cleared."""
        super().reset()
        self.clear()
        self.show()


class IsaVga(_Legacy, CatalogueDevice):
    """isa-vga."""

    drop_region = CatalogueDevice.drop_region

    def legacy_memory(self) -> MemoryRegion:
        """Memory of the ISA bus."""
        return self.board.isa_memory if self.board.family == "pc" else self.board.system

    def reset(self) -> None:
        """Registers are cleared."""
        super().reset()
        self.clear()
        self.show()
