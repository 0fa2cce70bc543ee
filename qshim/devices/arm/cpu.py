"""The memory side of an Arm CPU: a view of secure memory and of tags besides that of memory (spec/virt-boards.md 6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qshim.devices.board import Board
from qshim.devices.chipset.cpu import Cpu
from qshim.memory import MemoryRegion

__all__ = ["ArmCpu"]


class ArmCpu(Cpu):
    """CPU number *index*; *secure* and *tags* are the roots of what it sees besides memory, as far as they are there.

    *objects*: (name, type, how many) of what hangs below it, such as interrupt lines.
    """

    def __init__(
        self,
        board: Board,
        type_name: str,
        index: int,
        *,
        secure: MemoryRegion | None = None,
        tags: tuple[MemoryRegion, ...] = (),
        objects: Sequence[Sequence[Any]] = (),
    ) -> None:
        super().__init__(board, type_name, index, objects=objects)
        self._views = [
            *([(f"cpu-secure-memory-{index}", secure)] if secure is not None else []),
            *((f"cpu-tag-memory-{index}", root) for root in tags),
        ]

    def realize(self) -> None:
        """Interrupt lines and address spaces."""
        self.spaces += [self.board.space(root, name) for name, root in self._views]
        super().realize()
