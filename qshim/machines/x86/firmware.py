"""Firmware of a PC: a BIOS image, or flash drives in its place (spec/x86-boards.md 3.10)."""

from __future__ import annotations

from collections.abc import Sequence

from qshim.machines.errors import MachineError
from qshim.machines.firmware import FlashImage, flash_images
from qshim.machines.x86.layouts import FOUR_GIB, ISA_BIOS_END
from qshim.machines.x86.machine import X86Machine
from qshim.memory import MemoryRegion
from qshim.units import KIB, MIB

__all__ = ["FirmwareMachine"]

MAX_FIRMWARE = 8 * MIB


class FirmwareMachine(X86Machine):
    """A board with firmware at the end of 4 GiB."""

    roms_are_readonly = True

    @property
    def rom_memory(self) -> MemoryRegion:
        """Where firmware is mapped."""
        return self.board.isa_memory

    def make_firmware(self) -> None:
        """The BIOS, or flash drives in its place."""
        flashes = self.flash_images()
        if flashes:
            self.make_flash(flashes)
            return
        self.make_bios()

    def make_bios(self) -> None:
        """pc.bios at the end of 4 GiB, and its last 128 KiB below 1 MiB."""
        board = self.board
        default, size = self.default_bios
        data, length = self.load_bios(default, size)
        bios = board.ram("pc.bios", length, block="pc.bios", readonly=self.roms_are_readonly)
        self.fill(bios, data)
        shown = min(length, 128 * KIB)
        alias = board.alias("isa-bios", bios, length - shown, shown)
        alias.set_readonly(self.roms_are_readonly)
        self.rom_memory.add_subregion(alias, ISA_BIOS_END - shown, 1)
        self.rom_memory.add_subregion(bios, FOUR_GIB - length)

    @property
    def default_bios(self) -> tuple[str, int]:
        """Name and size."""
        return ("bios.bin", 128 * KIB) if self.compat.small_bios else ("bios-256k.bin", 256 * KIB)

    def fill(self, region: MemoryRegion, data: bytes | None) -> None:
        """Let *region* hold *data*, or ones where there is none; host memory is used when it is looked at."""
        block = region.ram_block
        if block is not None and data:
            block.write(0, data)
        elif block is not None:
            block.write(0, b"\xff" * region.size)

    def flash_images(self) -> Sequence[tuple[int, FlashImage]]:
        """Contents of flash by unit.

        :raises OptionError: an image cannot be read.
        :raises MachineError: the first one is missing.
        """
        found = flash_images(self)
        if 1 in found and 0 not in found:
            raise MachineError("pflash1 requires pflash0")
        return list(found.items())

    def make_flash(self, images: Sequence[tuple[int, FlashImage]]) -> None:
        """Flash from the end of 4 GiB downwards."""
        from qshim.devices.memory.flash import Flash

        board = self.board
        total = 0
        for unit, (data, drive, _) in images:
            if not data or len(data) % 4096:
                raise MachineError(
                    f"system firmware block device pflash{unit} has invalid size {len(data)}",
                    "info: its size must be a non-zero multiple of 0x1000",
                )
            total += len(data)
            if total > (self.options.size("max-fw-size") or MAX_FIRMWARE):
                raise MachineError(
                    f"combined size of system firmware exceeds {self.options.size('max-fw-size') or MAX_FIRMWARE} bytes"
                )
            name = f"system.flash{unit}"
            flash = Flash(board, data, name, drive=drive)
            board.plug(flash, board.sysbus, parent=board.machine, name=name)
            board.system.add_subregion(flash.region, FOUR_GIB - total)
            if unit == 0:
                self._flash_bios(flash.region, data)

    def _flash_bios(self, flash: MemoryRegion, data: bytes) -> None:
        board = self.board
        shown = min(len(data), 128 * KIB)
        if self.quirks.pflash_bios_alias and self.compat.isa_bios_alias:
            bios = board.alias("isa-bios", flash, len(data) - shown, shown)
            bios.set_readonly(True)
        else:
            bios = board.ram("isa-bios", shown, block="isa-bios", readonly=True)
            self.fill(bios, data[-shown:])
        self.rom_memory.add_subregion(bios, ISA_BIOS_END - shown, 1)
