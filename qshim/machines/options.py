"""-machine's properties: typed, and checked as the machine object of that QEMU checks them (spec/x86-boards.md 2.3)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from qshim.argv.errors import OptionError
from qshim.argv.opts import size
from qshim.machines.errors import MachineError
from qshim.qom.qdict import hash_order
from qshim.qom.types import QomTypes

__all__ = ["MachineOptions"]

_AUTO = {"on": True, "off": False, "auto": None}
_ENUMS = {"x-south-bridge": ("PIIX3", "piix4-isa"), "smbios-entry-point-type": ("32", "64", "auto")}
_NOT_MODELLED = {
    "cxl-fmw": "qshim makes no fixed windows of CXL", "sgx-epc": "qshim has no SGX",
    "confidential-guest-support": "qshim encrypts no memory",
}
_INTEGERS = {"int": (1 << 64) - 1, "uint8": (1 << 8) - 1}
"""Kinds of whole numbers, each with the largest one."""
_NUMBER = re.compile(r"-?(?:0[xX][0-9a-fA-F]+|\d+)")
_HANDLED = frozenset(("type", "accel", "kernel-irqchip"))

Check = Callable[["MachineOptions", str, str], None]
"""Raises MachineError where a board does not take a value (options, property, value)."""


class MachineOptions:
    """The properties that -machine set."""

    def __init__(
        self, types: QomTypes | None, type_name: str, given: Mapping[str, str], check: Check = lambda *told: None
    ) -> None:
        """*types* are those of the QEMU, *given* property -> text, *check* is what the board says of each."""
        self.type_name, self._board_check = type_name, check
        self.given = {key.replace("_", "-"): value for key, value in given.items() if key not in _HANDLED}
        told: Any = types.properties(type_name) if self.given and types is not None else None
        self.types: dict[str, str] = {row["name"]: row["type"] for row in told} if isinstance(told, list) else {}

    def read(self, others: Mapping[str, Callable[[], None]]) -> None:
        """Check one after the other, in the order of QEMU's table; *others* are properties that have options of
        their own, such as -smp: property -> what reads it.

        :raises MachineError: QEMU refuses one.
        """
        for key in hash_order((*self.given, *others)):
            if key in others:
                others[key]()
                continue
            value = self.given[key]
            self._check(self.type_name, key, value)
            self._board_check(self, key, value)
            if key.partition(".")[0] in _NOT_MODELLED:
                raise MachineError(f"-machine {key}={value}: {_NOT_MODELLED[key.partition('.')[0]]}")
        encryption = self.given.get("memory-encryption")
        if encryption is not None:
            raise MachineError(f"No such memory encryption object '{encryption}'")

    def _check(self, type_name: str, key: str, value: str) -> None:
        base = key.partition(".")[0]
        if self.types and key not in self.types and base not in self.types:
            raise MachineError(f"Property '{type_name}.{key}' not found")
        kind = self.types.get(key, "")
        if kind == "bool" and value not in ("on", "off", "yes", "no", "true", "false", "y", "n"):
            raise MachineError(f"Parameter '{key}' expects 'on' or 'off'")
        if kind == "OnOffAuto" and value not in _AUTO:
            raise MachineError(f"Parameter '{key}' does not accept value '{value}'")
        if key in _ENUMS and value not in _ENUMS[key]:
            raise MachineError(f"Parameter '{key}' does not accept value '{value}'")
        if kind == "size":
            self.size(key)
        if kind in _INTEGERS:
            if _NUMBER.fullmatch(value) is None:
                raise MachineError(f"Parameter '{key}' expects integer")
            if kind == "uint8" and not 0 <= int(value, 0) <= _INTEGERS[kind]:
                raise MachineError(f"Parameter '{key}' expects uint8_t")

    def on(self, key: str, default: bool) -> bool:
        """A boolean, or an OnOffAuto of which auto means *default*."""
        value = self.given.get(key)
        if value is None or value == "auto":
            return default
        return value in ("on", "yes", "true", "y")

    def auto(self, key: str) -> bool | None:
        """An OnOffAuto; None is auto."""
        return _AUTO.get(self.given.get(key, "auto"))

    def text(self, key: str, default: str = "") -> str:
        """Any property as text."""
        return self.given.get(key, default)

    def size(self, key: str) -> int | None:
        """A size in bytes; None if it was not set.

        :raises MachineError: it is none.
        """
        value = self.given.get(key)
        if value is None:
            return None
        try:
            return size(value, key, 1, lambda desc: OptionError(desc))
        except OptionError as error:
            if "out of range" in error.reports[0]:
                raise MachineError(error.reports[0]) from None
            raise MachineError(f"Parameter '{key}' expects size") from None
