"""What real QEMUs said of each device type: the data files behind the device catalogue.

One file has all that qemu-system-x86_64 says (`devices-V.json.xz`). Files of other targets
(`devices-V-TARGET.json.xz`) list the types that these have and tell only what is not the same.
tests/tools/record_devices.py makes and describes them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["BASES", "Catalogue", "catalogue"]

BASES = {"i386": "x86_64", "aarch64": "x86_64", "arm": "aarch64", "riscv64": "x86_64", "riscv32": "riscv64"}
"""Target -> the one whose data hold for it, too, unless its own file says otherwise."""

_USUAL = {"x86_64": "q35"}
_DATA = Path(__file__).parents[1] / "data"


class Catalogue:
    """What was recorded of the devices of one QEMU."""

    def __init__(self, data: Mapping[str, Any], base: Catalogue | None = None, usual: str = "virt") -> None:
        """*data*: the content of a data file, which adds to *base*.

        :param usual: the board where types were recorded that fit on several.
        """
        self._types: Mapping[str, str] = data["types"]
        self._board: Mapping[str, str] = data["board"]
        self._base = base
        self._usual = usual

    @property
    def names(self) -> tuple[str, ...]:
        """Types that a user can ask for, in order of their names."""
        return tuple(sorted(self._types))

    @property
    def board_names(self) -> tuple[str, ...]:
        """Types of devices that boards make themselves; NAME#1 is another one of type NAME."""
        inherited = () if self._base is None or self._base._usual != self._usual else self._base.board_names
        return tuple(sorted({*self._board, *inherited}))

    def entry(self, name: str, board: str | None = None) -> Mapping[str, Any] | None:
        """What was recorded of type *name* as a device that users add, else as one that *board* (or any) makes."""
        if board is not None:
            found = self.board_entries(name)
            for key in (board, *found):
                if key in found:
                    return found[key]
        if name in self._types:
            return self._told(name)
        return None if board is not None else self.entry(name, self._usual)

    def board_entries(self, name: str) -> Mapping[str, Mapping[str, Any]]:
        """Board -> what was recorded of type *name* there."""
        if name in self._board:
            found: Mapping[str, Mapping[str, Any]] = json.loads(self._board[name])
            return found
        return {} if self._base is None else self._base.board_entries(name)

    def _told(self, name: str) -> Mapping[str, Any]:
        own: dict[str, Any] = json.loads(self._types[name] or "{}")
        if self._base is None or name not in self._base._types:
            return own
        base = self._base._told(name)
        fails = base.get("fails", {})
        inherited = {**base, "on": self._usual, "fails": {}}
        for board in (self._usual, self._base._usual):
            if board in fails:
                inherited["fails"] = {self._usual: fails[board]}
                break
        return {key: value for key, value in {**inherited, **own}.items() if value is not None}


@cache
def catalogue(label: str, target: str = "x86_64") -> Catalogue | None:
    """The catalogue of dialect *label* for *target*; None where no binary was asked."""
    import lzma

    base = catalogue(label, BASES[target]) if target in BASES else None
    path = _DATA / (f"devices-{label}-{target}.json.xz" if target in BASES else f"devices-{label}.json.xz")
    if not path.is_file():
        return base
    return Catalogue(json.loads(lzma.decompress(path.read_bytes())), base, _USUAL.get(target, "virt"))
