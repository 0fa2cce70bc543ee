"""What properties change in the layout of a device (spec/x86-boards.md 6.3, 6.5).

A rule takes the device, whose properties are set, and the recorded layout, and changes the layout
before anything is built. Rules marked early run before configuration space is taken over.
"""

from __future__ import annotations

from qshim.devices.layout import Layout
from qshim.devices.qdev import Device
from qshim.devices.rules.msi import without_msi
from qshim.devices.rules.rom import rom_rule
from qshim.devices.rules.table import rules_of

__all__ = ["tailor", "tailor_early"]


def tailor_early(device: Device, layout: Layout) -> Layout:
    """Apply the rules that concern a PCI function before it is made."""
    for rule in rules_of(layout):
        rule(device, layout)
    if not device.board.has_msi:
        without_msi(layout)
    rom_rule(device, layout)
    vram = layout.region("vga.vram")
    if vram is not None and device.is_on("global-vmstate"):
        # machine types until 2.12: the name of video memory says nothing of its card
        vram.block = "vga.vram"
    return layout


def tailor(device: Device, layout: Layout) -> Layout:
    """Apply the rules of devices that are no PCI functions (those have had theirs)."""
    if layout.pci is None:
        for rule in rules_of(layout):
            rule(device, layout)
    return layout
