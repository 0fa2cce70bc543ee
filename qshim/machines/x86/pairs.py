"""Devices that a PC has twice: the catalogue holds the first (spec/x86-boards.md 3.2)."""

from __future__ import annotations

from collections.abc import Mapping

from qshim.devices.catalogue import CatalogueDevice, create
from qshim.machines.x86.machine import X86Machine
from qshim.qom import QomObject

__all__ = ["make_dma", "make_pics", "second"]

_PIC_PORTS = {"pic": (0xA0, 2), "elcr": (0x4D1, 1)}
_PIC_LINES = {"iobase": "160 (0xa0)", "elcr_addr": "1233 (0x4d1)", "elcr_mask": "222 (0xde)", "master": "false"}
_DMA_PORTS = {"dma-chan": (0xC0, 16), "dma-cont": (0xD0, 16)}
_DMA_PAGES = {"dma-page[0]": (0x89, 3), "dma-page[1]": (0x8F, 1)}
_DMA_LINES = {"base": "192 (0xc0)", "page-base": "136 (0x88)", "dshift": "1 (0x1)"}


_SECOND: Mapping[str, tuple[Mapping[str, tuple[int, int]], Mapping[str, str]]] = {
    "isa-i8259": (_PIC_PORTS, _PIC_LINES), "i8257": ({**_DMA_PORTS, **_DMA_PAGES}, _DMA_LINES),
}  # fmt: skip


def make_pics(machine: X86Machine) -> None:
    """The interrupt controllers: the master, then the slave."""
    machine.make_device("isa-i8259", machine.isa)
    second(machine, "isa-i8259")


def make_dma(machine: X86Machine) -> None:
    """The DMA controllers: for bytes, then for words."""
    machine.make_device("i8257", machine.isa)
    second(machine, "i8257")


def second(
    machine: X86Machine, type_name: str, *, parent: QomObject | None = None, name: str | None = None
) -> None:
    """The second device of *type_name*."""
    ports, lines = _SECOND[type_name]
    device = create(machine.board, type_name, machine=machine.family)
    assert isinstance(device, CatalogueDevice)
    layout = device.layout
    for plan in layout.regions:
        place = ports.get(plan.name) or ports.get(plan.plain)
        if place is not None:
            plan.addr, plan.size = place
    shown = []
    for line in layout.lines:
        key = line.partition(" = ")[0]
        shown.append(f"{key} = {lines[key]}" if key in lines and " = " in line else line)
    layout.lines = tuple(shown)
    machine.board.plug(device, machine.isa, parent=parent, name=name)
