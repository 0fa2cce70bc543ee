"""The memory side of a CPU: its address spaces; of an x86 CPU also the local APIC (spec/x86-boards.md 7, 2.4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qshim.devices.board import Board
from qshim.devices.qdev import Device
from qshim.memory import AddressSpace, MemoryRegion
from qshim.qom import QomObject
from qshim.units import SPACE

__all__ = ["Apic", "Cpu", "X86Cpu"]

APIC, APIC_SIZE, APIC_PRIORITY = 0xFEE00000, 0x100000, 4096
SMRAM_SIZE = 1 << 32
KVMVAPIC_FROM = 1 << 20


class Apic(Device):
    """A local APIC; that of the first CPU is where the guest sees it."""

    def realize(self) -> None:
        """Registers, and kvmvapic behind the first one."""
        board = self.board
        region = board.io("apic-msi", APIC_SIZE, self)
        if not board.has_apic:
            board.has_apic = True
            board.system.add_subregion(region, APIC, APIC_PRIORITY)
        if not board.has_vapic and board.ram_size >= KVMVAPIC_FROM:
            board.has_vapic = True
            from qshim.devices.catalogue import instantiate

            instantiate(board, "kvmvapic", board.sysbus, machine=board.family)


class Cpu(Device):
    """CPU number *index*, of the QOM type *type_name*, which sees memory.

    *objects*: (name, type, how many) of what hangs below it, such as interrupt lines.
    """

    def __init__(
        self,
        board: Board,
        type_name: str,
        index: int,
        *,
        device_id: str | None = None,
        objects: Sequence[Sequence[Any]] = (),
    ) -> None:
        super().__init__(board, type_name, device_id=device_id)
        self.index = index
        self._objects = objects
        self.spaces: list[AddressSpace] = []

    def realize(self) -> None:
        """Interrupt lines and one address space."""
        for name, kind, count in self._objects:
            for number in range(count):
                self.add_child(f"{name}[{number}]", QomObject(kind))
        self.spaces.append(self.board.space(self.board.system, f"cpu-memory-{self.index}"))

    def unrealize(self) -> None:
        """Take the address spaces away."""
        for space in self.spaces:
            space.destroy()
        self.spaces.clear()


class X86Cpu(Cpu):
    """An x86 CPU, which sees memory of its own in system management mode."""

    def __init__(self, board: Board, type_name: str, index: int, *, apic: bool, device_id: str | None = None) -> None:
        super().__init__(board, type_name, index, device_id=device_id)
        self.apic = apic
        self.smm_root: MemoryRegion | None = None

    def realize(self) -> None:
        """Address spaces and the APIC."""
        super().realize()
        board = self.board
        if self.apic:
            board.plug(Apic(board, "apic"), None, parent=self, name="lapic")
        root = board.container("memory", SPACE, self)
        seen = board.alias("memory", board.system, 0, SPACE, self)
        root.add_subregion(seen, 0)
        self.smm_root = root
        self.spaces.append(board.space(root, f"cpu-smm-{self.index}"))

    def machine_done(self) -> None:
        """With the machine complete, SMM sees SMRAM."""
        board = self.board
        if board.smram is not None and self.smm_root is not None and self.child("smram[0]") is None:
            alias = board.alias("smram", board.smram, 0, SMRAM_SIZE, self)
            self.smm_root.add_subregion(alias, 0, 1)

    def unrealize(self) -> None:
        """Take the address spaces and the APIC away."""
        super().unrealize()
        lapic = self.child("lapic")
        if isinstance(lapic, Device):
            self.board.unplug(lapic)
