"""Programmable attribute maps: what the guest sees from c0000 to fffff (spec/x86-boards.md 3.3)."""

from __future__ import annotations

from qshim.devices.board import Board
from qshim.memory import MemoryRegion
from qshim.qom import QomObject

__all__ = ["PAM_REGISTERS", "Pam"]

PAM_REGISTERS = 7
BIOS = (0xF0000, 0x10000)
GROUP = 0x4000
EXPANSION = 0xC0000


class Pam:
    """The 13 groups; each has four aliases in system memory, of which one is enabled."""

    def __init__(self, board: Board, owner: QomObject, pci: MemoryRegion, ram: MemoryRegion) -> None:
        places = [BIOS, *((EXPANSION + n * GROUP, GROUP) for n in range(12))]
        self.groups = [self._group(board, owner, pci, ram, *place) for place in places]
        self.current = [0] * len(places)

    @staticmethod
    def _group(
        board: Board, owner: QomObject, pci: MemoryRegion, ram: MemoryRegion, start: int, size: int
    ) -> tuple[MemoryRegion, ...]:
        """The aliases by the value of the group's register bits (bit 0 read, bit 1 write enable)."""
        writable = board.alias("pam-ram", ram, start, size, owner)
        readable = board.alias("pam-rom", ram, start, size, owner)
        readable.set_readonly(True)
        outside = board.alias("pam-pci", pci, start, size, owner)
        # write-only memory is shown as memory
        half = board.alias("pam-pci", ram, start, size, owner)
        group = (outside, readable, half, writable)
        for alias in group:
            alias.set_enabled(False)
            board.system.add_subregion(alias, start, 1)
        outside.set_enabled(True)
        return group

    def update(self, registers: bytes) -> None:
        """Show what the seven *registers* say."""
        for number, group in enumerate(self.groups):
            byte = registers[(number + 1) // 2]
            wanted = (byte if number % 2 else byte >> 4) & 3
            if wanted != self.current[number]:
                group[self.current[number]].set_enabled(False)
                group[wanted].set_enabled(True)
                self.current[number] = wanted
