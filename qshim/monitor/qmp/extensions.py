"""The schema of a machine's QEMU, with qshim's own commands where they are wanted (`Vm.extensions`).

`x-qshim-query-mtree`, `x-qshim-query-flatview` and `x-qshim-query-ramblock` return the values of
qshim.views.typed. They are in the schema as any other command; their values, whose JSON Schema
`qshim schema views` prints, are of the type `any` there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from qshim.monitor.schema import Schema, schema_of

if TYPE_CHECKING:
    from qshim.vm import Vm

__all__ = ["EXTENSIONS", "schema_for"]

EXTENSIONS = ("x-qshim-query-mtree", "x-qshim-query-flatview", "x-qshim-query-ramblock")
"""Commands that no QEMU has."""


def schema_for(vm: Vm) -> Schema:
    """What the QEMU that *vm* stands for knows, and qshim's own commands with `Vm.extensions`."""
    return schema_of(vm.quirks.label, vm.target, _extended if vm.extensions else None)


def _extended(data: Mapping[str, Any]) -> Mapping[str, Any]:
    entities = list(data["schema"])
    last = max(i for i, entity in enumerate(entities) if entity["meta-type"] in ("command", "event"))
    entities[last + 1 : last + 1] = [
        {"name": name, "meta-type": "command", "arg-type": "0", "ret-type": "any", "features": ["unstable"]}
        for name in EXTENSIONS
    ]
    return {**data, "schema": entities}
