"""The QOM types of one QEMU, and apart from them their properties, read when first needed (data/*.json.xz)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from qshim.qom.likeness import SIBLINGS, applied

__all__ = ["QomTypes", "qom_types", "target_types"]

Row = Mapping[str, Any]


class QomTypes:
    """What one QEMU binary says of its types."""

    def __init__(self, data: Mapping[str, Any], more: Callable[[str], Mapping[str, Any]]) -> None:
        """*data*: the content of a data file; *more* reads those of properties, `properties` or `cpu-properties`.

        Few ever ask for properties, and CPU types have ten times as many as all others.
        """
        self._more = more
        self.types: list[Row] = data["types"]
        """The value of qom-list-types with abstract types."""
        self.by_name: Mapping[str, Row] = {row["name"]: row for row in self.types}
        self.compat_props: Mapping[str, list[Row]] = data["compat-props"] or {}
        """What query-machines adds for each machine when asked for it."""
        self._interfaces: Mapping[str, list[str]] = data["interfaces"]

    def implements(self, name: str, parent: str) -> bool:
        """Whether type *name* is *parent*, descends from it, or has it as an interface."""
        here: str | None = name
        while here is not None:
            if here == parent:
                return True
            here = self.by_name[here].get("parent") if here in self.by_name else None
        return name in self._interfaces.get(parent, ())

    def family(self, name: str, base: str) -> str:
        """The ancestor of type *name* (or itself) right below *base*; *name* where there is none."""
        here = name
        while here in self.by_name:
            parent = self.by_name[here].get("parent")
            if parent is None or parent == base:
                return here
            here = parent
        return name

    def properties(self, name: str) -> Any:
        """What qom-list-properties answers: a list, or the whole error reply; None where nobody knows."""
        return _parsed(self._texts(name, "properties"))

    def device_properties(self, name: str) -> Any:
        """The same for device-list-properties."""
        return _parsed(self._texts(name, "devices"))

    def _texts(self, name: str, kind: str) -> str | None:
        texts = self._more("cpu-properties" if self.implements(name, "cpu") else "properties")[kind]
        found: str | None = texts.get(name)
        return found


def _parsed(text: str | None) -> Any:
    import json

    return None if text is None else json.loads(text)


@cache
def qom_types(label: str, target: str) -> QomTypes | None:
    """The types of dialect *label* for *target*; None where no binary was asked."""

    def load(kind: str) -> Any:
        return _read(kind, label, target)

    data = load("types")
    return None if data is None else QomTypes(data, lambda kind: load(kind) or {"properties": {}, "devices": {}})


@cache
def _read(kind: str, label: str, target: str) -> Any:
    """A data file, put together with that of a sibling where it only says what is different; None if there is none."""
    import json
    import lzma

    path = Path(__file__).parents[1] / "data" / f"{kind}-{label}-{target}.json.xz"
    if not path.is_file():
        return None
    data = json.loads(lzma.decompress(path.read_bytes()))
    like = data.pop("like", None)
    return data if like is None else applied(_read(kind, label, like), data)


def target_types(label: str, target: str) -> QomTypes | None:
    """The types of *target*, or of its sibling where *target* itself was never asked; None where neither was."""
    found = qom_types(label, target)
    return qom_types(label, SIBLINGS[target]) if found is None and target in SIBLINGS else found
