"""The QAPI schema of one QEMU, read when it is first needed (data/qapi-*.json.gz).

The files hold what a real binary replied, and what it told about the integers of its arguments; they
are made by tests/tools/extract_qapi.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from qshim.monitor.schema.visit import Visitor, compiled

__all__ = ["Schema", "schema_of"]

Entity = Mapping[str, Any]


class Schema:
    """What one QEMU binary says of its commands, events and types."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        """*data*: the content of a data file."""
        self.entities: list[Entity] = data["schema"]
        """The value of query-qmp-schema."""
        self.command_line_options: list[Entity] = data["command-line-options"]
        """The value of query-command-line-options."""
        self.idle: Mapping[str, Mapping[str, Any]] = data["idle"]
        """Reply objects of commands that no machine without their device answers otherwise."""
        self.machines: list[Entity] = data["machines"]
        """The value of query-machines."""
        self.types = {entity["name"]: entity for entity in self.entities}
        self._widths: Mapping[str, Mapping[str, str]] = data["widths"]
        self._alternates: Mapping[str, str] = data["alternates"]
        self._visitors: dict[str, Visitor] = {}

    def command(self, name: str) -> Entity | None:
        """The entity of the command *name*, None where this QEMU has none."""
        entity = self.types.get(name)
        return entity if entity is not None and entity["meta-type"] == "command" else None

    def command_names(self) -> list[str]:
        """What query-commands lists: the reverse of the schema, `device_add` first (monitor.md 3.2)."""
        names = [entity["name"] for entity in self.entities if entity["meta-type"] == "command"]
        names.remove("device_add")
        return ["device_add", *reversed(names)]

    def visitor(self, name: str) -> Visitor:
        """The check of the arguments of the command *name*, which this QEMU has."""
        visitor = self._visitors.get(name)
        if visitor is None:
            visitor = self._visitors[name] = compiled(
                self.types, self._widths, self._alternates, self.types[name]["arg-type"]
            )
        return visitor

    def shaped(self, command: str, value: object) -> object:
        """*value*, a return value of *command*, with members in the order in which QEMU's visitor gives them.

        Members that share a slot of QEMU's table are printed latest first, so the order shows.
        """
        return self._shape(self.types[command]["ret-type"], value)

    def _shape(self, name: str, value: object) -> object:
        entity = self.types[name]
        if isinstance(value, list) and entity["meta-type"] == "array":
            return [self._shape(entity["element-type"], element) for element in value]
        if not isinstance(value, dict) or entity["meta-type"] != "object":
            return value
        members: list[Entity] = []
        part: Entity | None = entity
        while part is not None:
            members += part["members"]
            case = value.get(part["tag"]) if "tag" in part else None
            part = next((self.types[v["type"]] for v in part.get("variants", ()) if v["case"] == case), None)
        known = {m["name"]: self._shape(m["type"], value[m["name"]]) for m in members if m["name"] in value}
        return {**known, **{key: member for key, member in value.items() if key not in known}}


@cache
def _read(label: str, target: str) -> Mapping[str, Any]:
    """A data file; one that only says what is different from another target's is put together with that."""
    import gzip
    import json

    folder = Path(__file__).parents[2] / "data"
    path = folder.joinpath(f"qapi-{label}-{target}.json.gz")
    if not path.is_file():
        path = folder.joinpath(f"qapi-{label}-x86_64.json.gz")
    data: dict[str, Any] = json.loads(gzip.decompress(path.read_bytes()))
    like = data.pop("like", None)
    if like is None:
        return data
    from qshim.qom.likeness import applied

    return applied(_read(label, like), data)


@cache
def schema_of(
    label: str, target: str = "x86_64", extend: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None
) -> Schema:
    """The schema of dialect *label* for *target*; a target that was never asked has that of x86_64.

    *extend* may add to the data.
    """
    data = _read(label, target)
    return Schema(data if extend is None else extend(data))
