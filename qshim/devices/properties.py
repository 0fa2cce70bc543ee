"""Setting properties of a device: names and values that its type does not take, in QEMU's words."""

from __future__ import annotations

import re
from collections.abc import Mapping

from qshim.devices.board import Board
from qshim.devices.errors import DeviceError
from qshim.devices.pci.address import devfn_of
from qshim.qom.types import QomTypes

__all__ = ["check_properties"]

_INTEGER = re.compile(r"\s*[+-]?(?:0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)")
_SIZE = re.compile(r"(?:0[xX][0-9a-fA-F]+|[0-9]+(?:\.[0-9]+)?)[BKMGTPEbkmgtpe]?")
_MAC = re.compile(r"[0-9a-fA-F]{1,2}([:-][0-9a-fA-F]{1,2}){5}")
_BOOLS = ("on", "yes", "true", "y", "off", "no", "false", "n")
_WIDTHS = {"uint8": 8, "uint16": 16, "uint32": 32, "uint64": 64, "int32": 32, "int8": 8, "int16": 16}
_CHOICES = re.compile(r"\(?([\w.]+(?:/[\w.]+)+)\)?$")
_ENUMS = ("OnOffAuto", "FdcDriveType", "FloppyDriveType", "PCIELinkSpeed", "PCIELinkWidth", "BlockdevOnError",
          "LostTickPolicy", "BiosAtaTranslation", "OffAutoPCIBAR", "GranuleMode")  # fmt: skip
_KNOWN_CHOICES = {"LostTickPolicy": ("discard", "delay", "slew"), "OnOffAuto": ("on", "off", "auto")}


def check_properties(board: Board, type_name: str, properties: Mapping[str, str]) -> None:
    """Whether a device of *type_name* takes *properties*, in their order.

    :raises DeviceError: the type has no such property, or the value is none of its type.
    """
    if not properties:
        # reading what types have takes longer than making most machines
        return
    types = board.types
    rows = None if types is None else types.device_properties(type_name)
    if not isinstance(rows, list):
        return
    known = {row["name"]: row for row in rows}
    for name in properties:
        if name.endswith("]") and re.fullmatch(r".*\[\d+\]", name) and name not in known:
            raise DeviceError(f"Property '{type_name}.{name}' not found")
    for name in board.hash_order(tuple(properties)):
        value = properties[name]
        row = known.get(name)
        if row is None and name.startswith("legacy-") and _hidden(types, type_name, name):
            continue
        if row is None:
            if name in ("realized", "hotplugged", "parent_bus", "type"):
                continue
            raise DeviceError(f"Property '{type_name}.{name}' not found")
        if name == "addr" and types is not None and types.implements(type_name, "pci-device"):
            if not _INTEGER.fullmatch(value) or value != "-1":
                devfn_of(value, type_name)
            continue
        if name == "mac" and not _MAC.fullmatch(value):
            # the card behind the function has it
            holder = "virtio-net-device" if type_name.startswith("virtio-net-pci") else type_name
            raise DeviceError(f"Property '{holder}.mac' doesn't take value '{value}'")
        _check(board, name, value, row["type"], str(row.get("description", "")))


def _hidden(types: QomTypes | None, type_name: str, name: str) -> bool:
    """device-list-properties leaves such names out."""
    rows = None if types is None else types.properties(type_name)
    return isinstance(rows, list) and any(row["name"] == name for row in rows)


def _check(board: Board, name: str, value: str, kind: str, description: str) -> None:
    if kind == "bool":
        if value not in _BOOLS:
            raise DeviceError(f"Parameter '{name}' expects 'on' or 'off'")
    elif kind in _WIDTHS:
        _check_integer(name, value, kind)
    elif kind == "size":
        if not _SIZE.fullmatch(value):
            raise DeviceError(f"Parameter '{name}' expects size")
    elif kind in _ENUMS:
        found = _CHOICES.search(description)
        choices = _KNOWN_CHOICES.get(kind) or (tuple(found[1].split("/")) if found else ())
        if choices and value not in choices:
            raise DeviceError(f"Parameter '{name}' does not accept value '{value}'")
    elif kind.startswith("link<") and value:
        _check_link(board, name, value, kind[5:-1])


def _check_link(board: Board, name: str, value: str, wanted: str) -> None:
    """An object by its path, or by the last part of it where that is one of a kind."""
    if value.startswith("/"):
        found = board.root.at(value)
    else:
        found = board.objects.child(value) or board.peripheral.child(value)
    if found is None:
        raise DeviceError(f"Device '{value}' not found", "DeviceNotFound")
    if found.type_name != wanted and not board.descends(found.type_name, wanted):
        raise DeviceError(f"Invalid parameter type for '{name}', expected: {wanted}")


def _check_integer(name: str, value: str, kind: str) -> None:
    if not _INTEGER.fullmatch(value):
        raise DeviceError(f"Parameter '{name}' expects integer")
    digits = value.strip().lstrip("+-")
    octal = len(digits) > 1 and digits[0] == "0" and digits.isdigit()
    number = int(digits, 8 if octal else 0) * (-1 if value.strip().startswith("-") else 1)
    bits = _WIDTHS[kind]
    low, high = (0, (1 << bits) - 1) if kind.startswith("u") else (-(1 << bits - 1), (1 << bits - 1) - 1)
    if kind == "uint64":
        low = -(1 << 63)
    if not low <= number <= high:
        raise DeviceError(f"Parameter '{name}' expects {kind}_t")
