"""ISA cards: where their ports are (spec/x86-boards.md 6.5)."""

from __future__ import annotations

from qshim.devices.errors import DeviceError
from qshim.devices.layout import Layout
from qshim.devices.qdev import Device
from qshim.devices.rules.values import number, printed

__all__ = ["BASES", "bases_rule", "debug_exit_rule", "dma_rule", "needs_dma_rule", "parallel_rule", "serial_rule"]

BASES: dict[str, tuple[tuple[str, str], ...]] = {
    "isa-fdc": (("iobase", "fdc"),),
    "isa-ide": (("iobase", "ide[0]"), ("iobase2", "ide[1]")),
    "ne2k_isa": (("iobase", ""),),
    "isa-debugcon": (("iobase", ""),),
    "isa-debug-exit": (("iobase", ""),),
    "pvpanic": (("ioport", ""),),
    "isa-ipmi-bt": (("ioport", ""),),
    "isa-ipmi-kcs": (("ioport", ""),),
    "isa-applesmc": (("iobase", ""),),
    "cs4231a": (("iobase", ""),),
    "sb16": (("iobase", ""),),
    "gus": (("iobase", ""),),
    "isa-i8259": (("iobase", "pic"), ("elcr_addr", "elcr")),
    "isa-pit": (("iobase", ""),),
    "isa-pcspk": (("iobase", ""),),
    "mc146818rtc": (("iobase", "rtc"),),
}
"""Type -> (property, the regions that follow it: all for an empty name)."""

SERIAL = (0x3F8, 0x2F8, 0x3E8, 0x2E8)
ANY = 0xFFFFFFFF


def bases_rule(device: Device, layout: Layout) -> None:
    """Ports move with the base that a property gives."""
    for name, region in BASES[layout.type_name]:
        told = printed(layout, name)
        if told is None or not device.text_of(name):
            continue
        step = device.number_of(name) - int(told.split(" ")[0])
        for plan in layout.regions:
            if plan.container == "@io" and region in ("", plan.name, plan.plain):
                plan.addr += step


def debug_exit_rule(device: Device, layout: Layout) -> None:
    """isa-debug-exit may have other than two ports."""
    layout.regions[0].size = number(device, layout, "iosize", 2)


def _numbered(device: Device, layout: Layout, places: tuple[int, ...], what: str) -> int:
    """The base port by `index`, which counts up where it is not given; `iobase` wins."""
    used = device.board.bus_numbers
    index = device.number_of("index", ANY) & ANY
    if index == ANY:
        index = used.get(what, 0)
        used[what] = index + 1
    if index >= len(places):
        raise DeviceError(f"Max. supported number of ISA {what} ports is {len(places)}.")
    base = device.number_of("iobase", ANY) & ANY
    return places[index] if base == ANY else base


def serial_rule(device: Device, layout: Layout) -> None:
    """isa-serial: four places.

    :raises DeviceError: a fifth one.
    """
    layout.regions[0].addr = _numbered(device, layout, SERIAL, "serial")


def parallel_rule(device: Device, layout: Layout) -> None:
    """isa-parallel: three places, of which the second comes first.

    :raises DeviceError: a fourth one.
    """
    base = _numbered(device, layout, (0x378, 0x278, 0x3BC), "parallel")
    first = min(plan.addr for plan in layout.regions)
    for plan in layout.regions:
        plan.addr += base - first


def dma_rule(device: Device, layout: Layout) -> None:
    """i8257: base, page registers, and 16-bit channels that are two ports apart."""
    shift = number(device, layout, "dshift", 0)
    base = number(device, layout, "base", 0)
    page = number(device, layout, "page-base", 0x80)
    channels, control = layout.at("dma-chan"), layout.at("dma-cont")
    channels.addr, channels.size = base, 8 << shift
    control.addr, control.size = base + (8 << shift), 8 << shift
    told = printed(layout, "page-base")
    step = page - (0x80 if told is None else int(told.split(" ")[0]))
    for plan in layout.regions:
        if plan.plain == "dma-page":
            plan.addr += step


def needs_dma_rule(device: Device, layout: Layout) -> None:
    """Some cards do not go without a DMA controller.

    :raises DeviceError: the board has none.
    """
    if device.board.family == "microvm":
        raise DeviceError("ISA controller does not support DMA")
