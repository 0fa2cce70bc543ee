"""System flash (cfi.pflash01): read directly until a command switches it to its registers (spec/x86-boards.md 3.10).

The commands are those of Intel's command set, which Common Flash Interface chips describe.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from qshim.devices.board import Board
from qshim.devices.qdev import Device
from qshim.memory import MemoryRegion, MemoryRegionOps, MemTxAttrs
from qshim.memory.ops import AccessSizes, Endian
from qshim.units import U64_MAX

__all__ = ["PC_CHIP", "VIRT_CHIP", "Chip", "Flash"]

ARRAY = (0x00, 0xF0, 0xFF)
PROGRAM, ERASE, CLEAR_STATUS, LOCK, STATUS, IDENTITY, QUERY, BUFFER = (0x10, 0x40), (0x20, 0x28), 0x50, 0x60, 0x70, \
    0x90, 0x98, 0xE8  # fmt: skip
CONFIRM, LOCK_BLOCK = 0xD0, 0x01
READY, FAILED = 0x80, 0x10
BLOCK, COUNT = 0x800, 0x7FF



@dataclass(frozen=True, slots=True)
class Chip:
    """What kind of flash."""

    sector: int
    """Bytes that are erased at once."""
    widths: tuple[int, int, int]
    """Bytes of a bank, of a chip in it, and the most that a chip may have; 0: not told."""
    identity: tuple[int, int, int, int]
    tells_address: bool
    """`info qtree` knows where it is mapped."""


PC_CHIP = Chip(4096, (1, 0, 0), (0, 0, 0, 0), True)
VIRT_CHIP = Chip(256 << 10, (4, 2, 2), (0x89, 0x18, 0, 0), False)


class Flash(Device):
    """A flash chip of *size* bytes (None: as many as *data* has) with the contents *data*, zeros behind them.

    *drive*: the drive or block node that has them, empty where there is none.
    """

    region: MemoryRegion

    def __init__(
        self, board: Board, data: bytes, name: str, *, chip: Chip = PC_CHIP, size: int | None = None,
        drive: str = "",
    ) -> None:  # fmt: skip
        super().__init__(board, "cfi.pflash01")
        self.data = data
        self.size = len(data) if size is None else size
        self.chip = chip
        self.drive = drive
        self.region_name = name
        self.command = 0
        self.cycle = 0
        """Writes that the current command has had."""
        self.status = READY
        self.counter = 0
        self.block: int | None = None
        """Where the block of a buffered write begins."""
        self.buffer = bytearray()

    def qtree_lines(self) -> list[str]:
        """What `info qtree` says of it."""
        chip = self.chip
        width, device, most = chip.widths
        numbers = {
            "num-blocks": self.size // chip.sector, "sector-length": chip.sector, "width": width,
            "device-width": device, "max-device-width": most,
        }  # fmt: skip
        lines = [f'drive = "{self.drive}"', *_assigned(numbers)]
        identity = {f"id{n}": value for n, value in enumerate(chip.identity)}
        lines += ["big-endian = false", "secure = false", *_assigned(identity), f'name = "{self.region_name}"']
        types = self.board.types
        told = None if types is None else types.device_properties(self.type_name)
        if isinstance(told, list) and any(row["name"] == "old-multiple-chip-handling" for row in told):
            lines.append("old-multiple-chip-handling = false")
        at = self.region.addr if chip.tells_address else U64_MAX
        return [*lines, f"mmio {at:016x}/{self.size:016x}"]

    def realize(self) -> None:
        """Make the region with its contents."""
        ops = MemoryRegionOps(
            read=self._read, write=self._write, endian=Endian.LITTLE, valid=AccessSizes(1, 4), impl=AccessSizes(1, 4)
        )
        self.region = self.board.rom_device(self.region_name, self.size, ops, self, block=self.region_name)
        block = self.region.ram_block
        assert block is not None
        if self.data:
            block.write(0, self.data)

    def reset(self) -> None:
        """Read directly again."""
        self._show_array()

    def _read(self, offset: int, size: int, attrs: MemTxAttrs) -> int:
        if self.command in (IDENTITY, QUERY):
            return 0
        return self.status | self.status << 16 if size > 2 else self.status

    def _show_array(self) -> None:
        self.command = self.cycle = 0
        self.block = None
        self.region.set_romd_mode(True)

    def _write(self, offset: int, value: int, size: int, attrs: MemTxAttrs) -> None:
        byte = value & 0xFF
        if not self.cycle:
            self.region.set_romd_mode(False)
            self._begin(offset, byte)
        elif self.command in PROGRAM:
            self._store(offset, value.to_bytes(size, "little"))
            self._done()
        elif self.command == BUFFER:
            self._buffer(offset, value, size, byte)
        elif byte == CONFIRM or (self.command == LOCK and byte == LOCK_BLOCK):
            self._done()
        else:
            self._show_array()

    def _begin(self, offset: int, byte: int) -> None:
        """The first write of a command."""
        self.command = byte
        if byte in PROGRAM or byte == LOCK:
            self.cycle = 1
        elif byte in ERASE:
            self._store(offset & ~(self.chip.sector - 1), b"\xff" * self.chip.sector)
            self.status |= READY
            self.cycle = 1
        elif byte == BUFFER:
            self.status |= READY
            self.cycle = 1
        elif byte == CLEAR_STATUS:
            self.status = 0
            self._show_array()
        elif byte not in (STATUS, IDENTITY, QUERY):
            self._show_array()

    def _buffer(self, offset: int, value: int, size: int, byte: int) -> None:
        """A buffered write: a count, the data, a confirmation; all of it in one block, or the status tells."""
        late = self.board.quirks.flash_block_starts_with_data
        if self.cycle == 1:
            self.counter = value & COUNT
            self.cycle = 2
            if not late:
                self._open(offset)
        elif self.cycle == 2:
            if late and self.block is None and self.counter:
                self._open(offset)
            self._fill(offset, value.to_bytes(size, "little"))
            self.status |= READY
            if not self.counter:
                self.cycle = 3
            self.counter -= 1
        elif byte == CONFIRM and not self.status & FAILED:
            assert self.block is not None
            self._store(self.block, bytes(self.buffer))
            self.block = None
            self._done()
        else:
            self._show_array()

    def _open(self, offset: int) -> None:
        """Take a copy of the block around *offset* to write into."""
        memory = self.region.ram_block
        assert memory is not None
        self.block = offset & ~(BLOCK - 1)
        self.buffer = bytearray(memory.read(self.block, BLOCK))

    def _fill(self, offset: int, data: bytes) -> None:
        if self.block is None or not self.block <= offset <= self.block + BLOCK - len(data):
            self.status |= FAILED
            return
        at = offset - self.block
        self.buffer[at : at + len(data)] = data

    def _done(self) -> None:
        """The command is complete, the chip still answers with its status."""
        self.status |= READY
        self.cycle = 0

    def _store(self, offset: int, data: bytes) -> None:
        block = self.region.ram_block
        assert block is not None
        block.write(offset, data)


def _assigned(numbers: Mapping[str, int]) -> Iterator[str]:
    for name, value in numbers.items():
        yield f"{name} = {value} (0x{value:x})"
