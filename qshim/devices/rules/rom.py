"""Expansion ROMs: rombar, romfile, romsize (spec/x86-boards.md 6.3)."""

from __future__ import annotations

from qshim.devices.errors import DeviceError
from qshim.devices.layout import Layout, pow2_ceil
from qshim.devices.pci.bar import ROM_SLOT
from qshim.devices.qdev import Device

__all__ = ["rom_rule"]

NO_SIZE = 0xFFFFFFFF


def rom_rule(device: Device, layout: Layout) -> None:
    """Size and content of the ROM, or no ROM.

    :raises DeviceError: the file is missing or too large, or the size is no power of two.
    """
    size = device.number_of("romsize", NO_SIZE)
    if size != NO_SIZE and size & (size - 1):
        raise DeviceError(f"ROM size {size} is not a power of two")
    plan = layout.behind(ROM_SLOT)
    recorded = _printed(layout, "romfile")
    given = device.properties.get("romfile", device.board.global_value(device.type_name, "romfile"))
    name = recorded if given is None else given
    wants_bar = device.text_of("rombar", "1") not in ("0",)
    if not name:
        if plan is not None:
            layout.drop(plan.name)
        return
    content = device.board.firmware(name)
    if content is None and given is not None and given != recorded:
        raise DeviceError(f'failed to find romfile "{name}"')
    length = len(content) if content is not None else (plan.size if plan is not None else 0)
    if size != NO_SIZE and length > size:
        raise DeviceError(f'romfile "{name}" ({length} bytes) is too large for ROM size {size}')
    if not wants_bar:
        if plan is not None:
            layout.drop(plan.name)
        if device.board.machine.child("fw_cfg") is None:
            # nobody takes the file: there is no fw_cfg, or it comes last
            return
        file = f"{'vgaroms' if layout.is_vga else 'genroms'}/{name}"
        if file in device.board.fw_cfg_files:
            raise DeviceError(f"duplicate fw_cfg file name: {file}")
        device.board.fw_cfg_files.add(file)
        return
    if plan is None:
        return
    plan.size = size if size != NO_SIZE else max(pow2_ceil(length), 0x800)
    plan.content = name


def _printed(layout: Layout, name: str) -> str:
    """A property as `info qtree` printed it when the device was recorded."""
    prefix = f'{name} = "'
    return next((line[len(prefix) : -1] for line in layout.lines if line.startswith(prefix)), "")
