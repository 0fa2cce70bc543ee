"""Property `addr` of PCI functions: slot and function in one number (QEMU's devfn)."""

from __future__ import annotations

import re

from qshim.devices.errors import DeviceError

__all__ = ["ANY", "devfn_of", "function_of", "shown", "slot_of"]

ANY = -1
"""No address was asked for."""

_ADDRESS = re.compile(r"\s*([+-]?(?:0[xX])?[0-9a-fA-F]+)(?:\.([+-]?(?:0[xX])?[0-9a-fA-F]+))?")


def slot_of(devfn: int) -> int:
    """The slot, 0 to 31."""
    return devfn >> 3


def function_of(devfn: int) -> int:
    """The function, 0 to 7."""
    return devfn & 7


def shown(devfn: int) -> str:
    """`SS.F` in hexadecimal."""
    return f"{slot_of(devfn):02x}.{function_of(devfn):x}"


def devfn_of(text: str, type_name: str, name: str = "addr") -> int:
    """What `addr=` means: SLOT or SLOT.FUNCTION, both hexadecimal; -1 (of JSON only) is any free slot.

    :raises DeviceError: no such slot or function.

    >>> devfn_of("06.1", "e1000")
    49
    """
    found = _ADDRESS.fullmatch(text)
    if found is not None:
        slot, function = int(found[1], 16), int(found[2] or "0", 16)
        if 0 <= function <= 7 and 0 <= slot <= 31:
            return slot << 3 | function
    raise DeviceError(f"Property '{type_name}.{name}' doesn't take value '{text}'")
