"""Flash drives, and firmware in flash (spec/x86-boards.md 3.10, virt-boards.md 8)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from qshim.argv.errors import OptionError
from qshim.devices.memory.flash import VIRT_CHIP, Flash
from qshim.machines.errors import MachineError

if TYPE_CHECKING:
    from qshim.machines.machine import Machine

__all__ = ["check_flash_units", "flash_images", "load_into_flash", "make_flash_pair"]

_BOTH = (
    "The contents of the first flash device may be specified with -bios or with -drive if=pflash... "
    "but you cannot use both options at once"
)


def flash_images(machine: Machine) -> Mapping[int, bytes]:
    """Contents of -drive if=pflash by unit.

    :raises OptionError: an image cannot be read.
    """
    found: dict[int, bytes] = {}
    for drive in machine.plan.drives:
        if drive.values.get("if") != "pflash":
            continue
        unit = int(drive.values.get("unit", drive.values.get("index", str(len(found)))))
        path = drive.values.get("file", "")
        try:
            found[unit] = machine.request.open_image(path)
        except OSError as error:
            raise OptionError(f"{drive.where}: Could not open '{path}': {error.strerror}") from None
    return dict(sorted(found.items()))


def make_flash_pair(machine: Machine, size: int, size_text: str) -> tuple[Flash, Flash]:
    """The two flash devices of a virt board, *size* bytes each, mapped nowhere yet.

    *size_text* is what QEMU says of an image of another size.

    :raises MachineError: an image is of another size.
    :raises OptionError: one cannot be read.
    """
    images, board = flash_images(machine), machine.board
    made = []
    for unit in range(2):
        name = f"virt.flash{unit}"
        data = images.get(unit)
        if data is not None and len(data) != size:
            raise MachineError(
                size_text.format(path=f"/machine/{name}", size=size, drive=f"pflash{unit}", given=len(data))
            )
        flash = Flash(board, data or b"", name, chip=VIRT_CHIP, size=size)
        board.plug(flash, board.sysbus, parent=board.machine, name=name)
        made.append(flash)
    return made[0], made[1]


def check_flash_units(machine: Machine) -> None:
    """Whether all flash drives found a flash device, once the board is there.

    :raises OptionError: there is a third one.
    """
    for drive in machine.plan.drives:
        asked = drive.values.get("unit", drive.values.get("index", "0"))
        if drive.values.get("if") == "pflash" and int(asked) > 1:
            raise OptionError(f"{drive.where}: machine type does not support if=pflash,bus=0,unit={asked}")


def load_into_flash(machine: Machine, flash: Flash) -> bool:
    """Put what -bios names into *flash*; whether there is firmware then.

    :raises MachineError: it cannot be had, or the flash has contents of its own.
    """
    name = machine.plan.bios
    if name is None:
        return bool(flash.data)
    if flash.data:
        raise MachineError(_BOTH)
    data = machine.request.firmware(name)
    if data is None:
        raise MachineError(f"Could not find ROM image '{name}'")
    if len(data) > flash.size:
        raise MachineError(f"Could not load ROM image '{name}'")
    block = flash.region.ram_block
    assert block is not None
    block.write(0, data)
    return True
