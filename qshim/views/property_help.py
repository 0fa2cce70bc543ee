"""`-device TYPE,help` and `-machine TYPE,help`: the properties of a type (spec/monitor.md 6.5)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from qshim.qom.types import qom_types

__all__ = ["asked", "help_of"]

_WIDTH = 24
_OF_INSTANCES = frozenset(
    ("cxl", "cxl-fmw", "device-memory-region-size", "hmat", "nvdimm", "nvdimm-persistence", "pcspk-audiodev", "pflash0",
     "pflash1", "spcr")
)  # fmt: skip
"""Properties that a machine gets when it is made, which help about its class leaves out."""
_DEVICE, _MACHINE = ("device",), ("M", "machine")


def asked(words: Sequence[str]) -> tuple[str, str, str] | None:
    """(option, value, type) of the first -device or -machine that asks for help about a type; None if none does."""
    for option, value in pairwise(words):
        name = option.lstrip("-")
        if option.startswith("-") and name in (*_DEVICE, *_MACHINE) and not value.startswith("{"):
            first, *rest = value.split(",")
            if rest and first not in ("help", "?") and {"help", "?"} & set(rest):
                return option, value, first.removeprefix("driver=").removeprefix("type=")
    return None


def help_of(label: str, target: str, option: str, type_name: str) -> str | None:
    """The text for *type_name*; None where that QEMU has no such type, or nobody asked it.

    *type_name* of a machine is its name without an alias.
    """
    types = qom_types(label, target)
    if types is None:
        return None
    machine = option.lstrip("-") in _MACHINE
    name = f"{type_name}-machine" if machine else type_name
    told: Any = types.properties(name) if machine else types.device_properties(name)
    if not isinstance(told, list):
        return None
    rows = [row for row in told if row["name"] != "type" and not (machine and row["name"] in _OF_INSTANCES)]
    if not rows:
        return f"There are no options for {name}.\n"
    lines = sorted(_line(row, words=label != "7.2") for row in rows)
    return f"{name} options:\n" + "".join(f"{line}\n" for line in lines)


def _line(row: Any, *, words: bool) -> str:
    """One property; *words*: defaults are written as users write them."""
    line = f"  {row['name']}=<{row['type']}>"
    default = row.get("default-value")
    if "description" not in row and default is None:
        return line
    line = f"{line:<{_WIDTH}} - {row.get('description', '')}"
    if default is None:
        return line
    if isinstance(default, bool):
        shown = ("on" if default else "off") if words else ("true" if default else "false")
    elif isinstance(default, str) and words:
        shown = default
    else:
        shown = json.dumps(default)
    return f"{line} (default: {shown})"
