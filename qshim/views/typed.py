"""The memory views as typed values for JSON: addresses are integers, `last` is inclusive.

Richer than the text: sizes tell 0 from 1, disabled regions are there and marked, a region names the
RAM block it uses, children are nested. `VIEWS_SCHEMA` is the JSON Schema, `qshim schema views`
prints it.
"""

from __future__ import annotations

from typing import TypeAlias

from qshim.memory import FlatRange, MemoryRegion
from qshim.views.flatview import flat
from qshim.views.viewed import Viewed, owner_rows, type_word

__all__ = ["VIEWS_SCHEMA", "JsonObject", "JsonValue", "flat_json", "ramblock_json", "tree_json"]

JsonValue: TypeAlias = "bool | int | str | list[JsonValue] | dict[str, JsonValue] | None"
JsonObject: TypeAlias = dict[str, JsonValue]


def tree_json(vm: Viewed) -> JsonObject:
    """`info mtree`: address spaces by root, and the regions that aliases show, each tree once."""
    groups: dict[MemoryRegion, list[JsonValue]] = {}
    for space in vm.topology.spaces:
        groups.setdefault(space.root, []).append(space.name)
    targets: dict[MemoryRegion, None] = {}
    trees: list[JsonValue] = [
        {"spaces": names, "root": _region_json(vm, root, targets)} for root, names in groups.items()
    ]
    shown: list[JsonValue] = []
    done: set[MemoryRegion] = set()
    # drawing one target may find further ones
    while fresh := [target for target in targets if target not in done]:
        for target in fresh:
            done.add(target)
            shown.append(_region_json(vm, target, targets))
    return {"schema": "qshim/mtree/1", "address-spaces": trees, "alias-targets": shown}


def _region_json(vm: Viewed, root: MemoryRegion, targets: dict[MemoryRegion, None]) -> JsonObject:
    top: list[JsonValue] = []
    stack: list[tuple[MemoryRegion, list[JsonValue]]] = [(root, top)]
    while stack:
        region, siblings = stack.pop()
        children: list[JsonValue] = []
        value: JsonObject = {
            "name": region.name,
            "addr": region.addr,
            "size": region.size,
            "priority": region.priority,
            "type": type_word(region, vm.quirks),
            "enabled": region.enabled,
            "nonvolatile": region.nonvolatile,
            "readonly": region.readonly,
            **_owners_json(region),
        }
        if region.alias is not None:
            targets.setdefault(region.alias)
            value["alias"] = {"target": region.alias.name, "offset": region.alias_offset}
        if region.ram_block is not None:
            value["ram-block"] = {"name": region.ram_block.idstr, "offset": region.ram_block.offset}
        value["children"] = children
        siblings.append(value)
        stack += [(child, children) for child in reversed(region.subregions)]
    first = top[0]
    assert isinstance(first, dict)
    return first


def _owners_json(region: MemoryRegion) -> JsonObject:
    owner, parent = owner_rows(region)
    return {
        word: {"device": row.is_device, row.key: row.value}
        for word, row in (("owner", owner), ("parent", parent))
        if row is not None
    }


def flat_json(vm: Viewed) -> JsonObject:
    """`info mtree -f`: the views, each with the address spaces that share it."""
    rows = flat(vm)
    views: list[JsonValue] = []
    for (view, _), row in zip(vm.topology.views(), rows.views, strict=True):
        ranges: list[JsonValue] = [_range_json(vm, r) for r in view.ranges]
        spaces: list[JsonValue] = [{"name": s.name, "root": s.root} for s in row.spaces]
        views.append({"spaces": spaces, "root": row.root, "ranges": ranges})
    return {"schema": "qshim/flatview/1", "views": views}


def _range_json(vm: Viewed, r: FlatRange) -> JsonObject:
    region = r.region
    value: JsonObject = {
        "start": r.start,
        "last": r.last,
        "size": r.size,
        "name": region.name,
        "offset": r.offset,
        "type": "rom" if r.readonly else type_word(region, vm.quirks),
        "priority": region.priority,
        "nonvolatile": r.nonvolatile,
        "readonly": r.readonly or region.readonly,
        **_owners_json(region),
    }
    block = region.ram_block
    if block is not None:
        value["ram-block"] = {"name": block.idstr, "ram-addr": block.offset + r.offset}
    return value


def ramblock_json(vm: Viewed) -> JsonObject:
    """`info ramblock`: the blocks in list order; host addresses are left out, they differ every time."""
    blocks: list[JsonValue] = [
        {
            "name": block.idstr,
            "page-size": block.page_size,
            "offset": block.offset,
            "used-length": block.used_length,
            "max-length": block.max_length,
            "readonly": block.region is not None and block.region.readonly,
            "region": None if block.region is None else block.region.name,
        }
        for block in vm.topology.ram.blocks
    ]
    return {"schema": "qshim/ramblock/1", "blocks": blocks}


def _object(required: dict[str, JsonValue], optional: dict[str, JsonValue] | None = None) -> JsonObject:
    properties: JsonObject = {**required, **(optional or {})}
    names: list[JsonValue] = list(required)
    return {"type": "object", "properties": properties, "required": names, "additionalProperties": False}


def _array(items: JsonValue) -> JsonObject:
    return {"type": "array", "items": items}


_NAME: JsonObject = {"type": ["string", "null"]}
_TYPE: JsonObject = {"enum": ["ram", "rom", "romd", "ramd", "i/o", "container"]}
_ADDRESS: JsonObject = {"type": "integer", "minimum": 0, "maximum": (1 << 64) - 1}
_SIZE: JsonObject = {"type": "integer", "minimum": 0, "maximum": 1 << 64, "description": "bytes"}
_BOOLEAN: JsonObject = {"type": "boolean"}
_INTEGER: JsonObject = {"type": "integer"}
_STRING: JsonObject = {"type": "string"}
_OWNER: JsonObject = {
    **_object({"device": _BOOLEAN}, {"id": _STRING, "path": _STRING, "type": _STRING}),
    "description": "a device with an id has `id`, else an object in the tree has `path`, else `type`",
}
_OWNERS: dict[str, JsonValue] = {"owner": _OWNER, "parent": _OWNER}
_REGION: JsonObject = {"$ref": "#/$defs/region"}
_REGION_DEF = _object(
    {
        "name": _NAME,
        "addr": {**_ADDRESS, "description": "offset in the container"},
        "size": _SIZE,
        "priority": _INTEGER,
        "type": _TYPE,
        "enabled": _BOOLEAN,
        "nonvolatile": _BOOLEAN,
        "readonly": {**_BOOLEAN, "description": "set on this region itself"},
        "children": {**_array(_REGION), "description": "in list order: priority falling, newest first"},
    },
    {
        **_OWNERS,
        "alias": _object({"target": _NAME, "offset": _ADDRESS}),
        "ram-block": _object({"name": _STRING, "offset": _ADDRESS}),
    },
)
_RANGE = _object(
    {
        "start": _ADDRESS,
        "last": {**_ADDRESS, "description": "inclusive"},
        "size": _SIZE,
        "name": _NAME,
        "offset": {**_ADDRESS, "description": "in the region"},
        "type": _TYPE,
        "priority": _INTEGER,
        "nonvolatile": _BOOLEAN,
        "readonly": _BOOLEAN,
    },
    {**_OWNERS, "ram-block": _object({"name": _STRING, "ram-addr": _ADDRESS})},
)
_BLOCK = _object(
    {
        "name": {**_STRING, "description": "idstr; empty while nobody registered the block for migration"},
        "page-size": _SIZE,
        "offset": {**_ADDRESS, "description": "ram_addr_t"},
        "used-length": _SIZE,
        "max-length": _SIZE,
        "readonly": _BOOLEAN,
        "region": _NAME,
    }
)

VIEWS_SCHEMA: JsonObject = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "qshim/views/1",
    "description": "what `qshim show VIEW --json` prints; integers reach 2^64: read them as exact integers",
    "$defs": {"region": _REGION_DEF},
    "oneOf": [
        _object(
            {
                "schema": {"const": "qshim/mtree/1"},
                "address-spaces": _array(_object({"spaces": _array(_STRING), "root": _REGION})),
                "alias-targets": _array(_REGION),
            }
        ),
        _object(
            {
                "schema": {"const": "qshim/flatview/1"},
                "views": _array(
                    _object(
                        {
                            "spaces": _array(_object({"name": _STRING, "root": _STRING})),
                            "root": _NAME,
                            "ranges": _array(_RANGE),
                        }
                    )
                ),
            }
        ),
        _object({"schema": {"const": "qshim/ramblock/1"}, "blocks": _array(_BLOCK)}),
    ],
}
"""JSON Schema of the three."""
