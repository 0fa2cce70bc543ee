"""Flash drives, and firmware in flash (spec/x86-boards.md 3.10, virt-boards.md 8)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from qshim.argv.errors import OptionError
from qshim.argv.opts import members
from qshim.devices.memory.flash import VIRT_CHIP, Flash
from qshim.machines.errors import MachineError

if TYPE_CHECKING:
    from qshim.machines.machine import Machine

__all__ = ["FlashImage", "check_flash_node", "check_flash_units", "flash_images", "load_into_flash", "make_flash_pair"]

_BOTH = (
    "The contents of the first flash device may be specified with -bios or with -drive if=pflash... "
    "but you cannot use both options at once"
)


class FlashImage(NamedTuple):
    """What a flash device holds."""

    data: bytes
    drive: str
    """The drive or block node that has it."""
    named: str
    """How QEMU calls the drive when it complains; a block node has no such name."""


def flash_images(machine: Machine) -> Mapping[int, FlashImage]:
    """Contents of flash by unit: of -drive if=pflash, and of block nodes that -machine pflash0= and pflash1= name.

    :raises OptionError: an image cannot be read, or a unit has two.
    """
    found: dict[int, FlashImage] = {}
    for unit in range(2):
        node = machine.options.text(f"pflash{unit}")
        if node:
            found[unit] = FlashImage(_node_data(machine, node), node, "")
    taken: set[int] = set()
    for drive in machine.plan.drives:
        if drive.values.get("if") != "pflash":
            continue
        free = next(number for number in range(256) if number not in taken)
        unit = int(drive.values.get("unit", drive.values.get("index", str(free))))
        taken.add(unit)
        if unit in found and not found[unit].named:
            raise OptionError(f"{drive.where}: clashes with -machine")
        path = drive.values.get("file", "")
        try:
            found[unit] = FlashImage(machine.request.open_image(path), f"pflash{unit}", f"pflash{unit}")
        except OSError as error:
            raise OptionError(f"{drive.where}: Could not open '{path}': {error.strerror}") from None
    return dict(sorted(found.items()))


def check_flash_node(machine: Machine, key: str, value: str) -> None:
    """Whether there is the block node *value* that property *key* of -machine names, if it is one of flash.

    :raises MachineError: nobody made it.
    """
    if key in ("pflash0", "pflash1") and value and value not in _nodes(machine):
        raise MachineError(f"Property 'cfi.pflash01.drive' can't find value '{value}'")


def _nodes(machine: Machine) -> Mapping[str, Mapping[str, Any]]:
    """-blockdev: name -> its members, nested ones with dots."""
    found: dict[str, Mapping[str, Any]] = {}
    for option, value in machine.plan.others:
        if option == "blockdev":
            given = _members(value)
            found[str(given.get("node-name", ""))] = given
    return found


def _members(value: str) -> Mapping[str, Any]:
    if not value.startswith("{"):
        return members(value, "driver").values
    import json

    def flat(given: Mapping[str, Any], prefix: str) -> dict[str, Any]:
        rows: dict[str, Any] = {}
        for key, member in given.items():
            rows |= flat(member, f"{prefix}{key}.") if isinstance(member, dict) else {f"{prefix}{key}": member}
        return rows

    try:
        return flat(json.loads(value), "")
    except ValueError:
        raise OptionError(f"-blockdev {value}: JSON parse error") from None


def _node_data(machine: Machine, name: str) -> bytes:
    """Contents of block node *name*.

    :raises OptionError: its file cannot be read.
    """
    nodes, seen = _nodes(machine), set[str]()
    while name in nodes and name not in seen:
        seen.add(name)
        given = nodes[name]
        path = given.get("filename", given.get("file.filename"))
        if path is None:
            name = str(given.get("file", ""))
            continue
        try:
            return machine.request.open_image(str(path))
        except OSError as error:
            raise OptionError(f"-blockdev {name}: Could not open '{path}': {error.strerror}") from None
    return b""


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
        image = images.get(unit, FlashImage(b"", "", ""))
        if unit in images and len(image.data) != size:
            raise MachineError(
                size_text.format(path=f"/machine/{name}", size=size, drive=image.named, given=len(image.data))
            )
        flash = Flash(board, image.data, name, chip=VIRT_CHIP, size=size, drive=image.drive)
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
