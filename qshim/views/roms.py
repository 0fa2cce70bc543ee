"""`info roms` of a modelled PC: option ROMs, the BIOS, ACPI tables (spec/monitor.md 5.6)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["roms_text"]

_VAPIC = ("kvmvapic.bin", 0x2400)
_VGA = {"isa-vga": "vgabios.bin", "isa-cirrus-vga": "vgabios-cirrus.bin"}
"""ROMs that the BIOS gets by name: ISA cards have no BAR for them."""
_VGA_SIZE = 0x9A00
_TABLES = (("etc/acpi/tables", 0x200000), ("etc/table-loader", 0x10000), ("etc/acpi/rsdp", 0x1000))
_END = 1 << 32


def roms_text(machine: Any, firmware: Callable[[str], bytes | None]) -> str:
    """The text for *machine*, an `X86Machine`; *firmware* returns the bytes of a firmware file, None without it."""
    return "".join(f"{line}\n" for line in _lines(machine, firmware))


def _lines(machine: Any, firmware: Callable[[str], bytes | None]) -> Iterator[str]:
    board, family = machine.board, machine.family
    if family == "none":
        return
    types = [each.type_name for each in board.root.walk()]
    if "apic" in types and family in ("pc", "q35"):
        name, size = _VAPIC
        yield f'fw=genroms/{name} size=0x{size:06x} name="{name}"'
    for card in (card for card in _VGA if card in types):
        data = firmware(_VGA[card])
        yield f'fw=vgaroms/{_VGA[card]} size=0x{len(data) if data else _VGA_SIZE:06x} name="{_VGA[card]}"'
    bios = next((block for block in board.topology.ram.blocks if block.idstr == "pc.bios"), None)
    if bios is not None:
        size = bios.used_length
        kind = "rom" if machine.roms_are_readonly else "ram"
        name = machine.plan.bios or machine.default_bios[0]
        yield f'addr={_END - size:016x} size=0x{size:06x} mem={kind} name="{name}"'
    if machine.has_acpi:
        for name, size in _TABLES:
            yield f'/rom@{name} size=0x{size:06x} name="{name}"'
