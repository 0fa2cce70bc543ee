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
VBE_PORTS, VBE_REMAPPED = "vbe[0]", "bochs dispi interface[0]"
VBE_IDS, VBE_BPP, VBE_ENABLE, VBE_BANK, VBE_REGISTERS = 0, 3, 4, 5, 10
VBE_ENABLED, GRAPHICS_MAP_1 = 0x01, 0x05
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

        self.vbe_index = 0
        for name, write in ((VBE_PORTS, self.vbe_port_write), (VBE_REMAPPED, self.vbe_memory_write)):
            plan = layout.region(name)
            if plan is not None:
                sizes = AccessSizes(2, 2, unaligned=True)
                plan.ops = MemoryRegionOps(
                    read=self.vbe_read, write=write, endian=Endian.LITTLE, valid=sizes, impl=sizes
                )

    # --- Bochs display interface ---

    def vbe_read(self, offset: int, size: int, attrs: MemTxAttrs) -> int:
        """A register; where it is read does not matter to memory."""
        return self.vbe[self.vbe_index] if self.vbe_index < VBE_REGISTERS else 0

    def vbe_port_write(self, offset: int, value: int, size: int, attrs: MemTxAttrs) -> None:
        """Port 0 chooses, 1 and 2 write."""
        if offset == 0:
            self.vbe_index = value
        else:
            self.vbe_write(self.vbe_index, value)

    def vbe_memory_write(self, offset: int, value: int, size: int, attrs: MemTxAttrs) -> None:
        """All registers side by side."""
        self.vbe_write(offset // 2, value)

    def vbe_write(self, index: int, value: int) -> None:
        """Enabling takes over sequencer and graphics registers; the bank is where window 1 begins."""
        if not VBE_IDS < index < VBE_REGISTERS:
            return
        if index == VBE_BANK:
            value &= (self.made["vga.vram[0]"].size >> 16) - 1
            self.bank = value << 16
        elif index == VBE_ENABLE:
            if value & VBE_ENABLED and not self.vbe[VBE_ENABLE] & VBE_ENABLED:
                self.vbe[VBE_ENABLE] |= VBE_ENABLED
                self.vbe_takes_over()
            else:
                self.bank = 0
        self.vbe[index] = value
        if index in (VBE_BANK, VBE_ENABLE):
            self.show()
        else:
            self.vbe_takes_over()

    def vbe_takes_over(self) -> None:
        """Graphics in window 1, chain 4, all planes (except with 4 bits for each pixel)."""
        if not self.vbe[VBE_ENABLE] & VBE_ENABLED:
            return
        misc = self.graphics[MISCELLANEOUS]
        self.graphics[MISCELLANEOUS] = misc & ~0x0C | GRAPHICS_MAP_1
        if self.vbe[VBE_BPP] != 4:
            self.vbe_sequencer[MEMORY_MODE] |= CHAIN_4
            self.vbe_sequencer[PLANE_WRITE] |= ALL_PLANES

    # --- VGA ---

    def clear(self) -> None:
        """All registers are 0."""
        self.vbe = [0] * VBE_REGISTERS
        self.vbe_sequencer = bytearray(8)
        self.bank = 0
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
            self.vbe_takes_over()
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
            registers = self.vbe_sequencer if self.vbe[VBE_ENABLE] & VBE_ENABLED else self.sequencer
            every = registers[PLANE_WRITE] & ALL_PLANES == ALL_PLANES
            if not every or not registers[MEMORY_MODE] & CHAIN_4:
                return
            window = self.graphics[MISCELLANEOUS] >> 2 & 3
            base, size = WINDOWS[window]
            offset = self.bank if window == 1 else 0
            self.chain4 = self.board.alias("vga.chain4", self.made["vga.vram[0]"], offset, size, self)  # type: ignore[arg-type]
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
