"""System flash (cfi.pflash01): read directly until a command switches it to its registers (spec/x86-boards.md 3.10)."""

from __future__ import annotations

from qshim.devices.board import Board
from qshim.devices.qdev import Device
from qshim.memory import MemoryRegion, MemoryRegionOps, MemTxAttrs
from qshim.memory.ops import AccessSizes, Endian

__all__ = ["Flash"]

READ_ARRAY = 0xFF


class Flash(Device):
    """A flash chip that holds *data*."""

    def __init__(self, board: Board, data: bytes, name: str) -> None:
        super().__init__(board, "cfi.pflash01")
        self.data = data
        self.region_name = name
        self.region: MemoryRegion | None = None

    def realize(self) -> None:
        """Make the region with its contents."""
        ops = MemoryRegionOps(
            read=self._read, write=self._write, endian=Endian.LITTLE, valid=AccessSizes(1, 4), impl=AccessSizes(1, 4)
        )
        self.region = self.board.rom_device(self.region_name, len(self.data), ops, self, block=self.region_name)
        block = self.region.ram_block
        assert block is not None
        block.write(0, self.data)

    def _read(self, offset: int, size: int, attrs: MemTxAttrs) -> int:
        # status register: ready
        return 0x80

    def _write(self, offset: int, value: int, size: int, attrs: MemTxAttrs) -> None:
        assert self.region is not None
        self.region.set_romd_mode(value & 0xFF in (READ_ARRAY, 0x00))
