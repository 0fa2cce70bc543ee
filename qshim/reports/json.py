"""Findings as data. `REPORT_SCHEMA` is the JSON Schema, `qshim schema report` prints it."""

from __future__ import annotations

from qshim.layout.compare import CHANGES, Change
from qshim.layout.verify import Difference
from qshim.views.typed import JsonObject, JsonValue

__all__ = ["REPORT_SCHEMA", "changes_json", "differences_json"]


def changes_json(changes: tuple[Change, ...]) -> list[JsonValue]:
    """One object for each change."""
    return [
        {"kind": c.kind, "place": c.place, "what": c.what, "left": c.left, "right": c.right} for c in changes
    ]


def differences_json(differences: tuple[Difference, ...]) -> list[JsonValue]:
    """One object for each text that differs without a change that explains it."""
    return [{"command": d.command, "diff": list(d.lines)} for d in differences]


_LINE: JsonObject = {"type": ["string", "null"]}
_SIDE: JsonObject = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "version": _LINE, "machine": _LINE, "refused": _LINE},
    "required": ["name", "version", "machine", "refused"],
    "additionalProperties": False,
}
REPORT_SCHEMA: JsonObject = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "qshim/report/1",
    "description": "what `qshim crosscheck --format json` prints",
    "type": "object",
    "properties": {
        "schema": {"const": "qshim/report/1"},
        "verdict": {"enum": ["same", "differs", "refused by both", "refused by one", "nothing compared"]},
        "left": _SIDE,
        "right": _SIDE,
        "compared": {"type": "array", "items": {"type": "string"}},
        "allowances": {
            "type": "array",
            "description": "what was allowed to differ, and did",
            "items": {
                "type": "object",
                "properties": {"name": {"type": "string"}, "reason": {"type": "string"}},
                "required": ["name", "reason"],
                "additionalProperties": False,
            },
        },
        "changes": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "kind": {"enum": list(CHANGES)},
                    "place": {"type": "string"},
                    "what": {"type": "string"},
                    "left": _LINE,
                    "right": _LINE,
                },
                "required": ["kind", "place", "what", "left", "right"],
                "additionalProperties": False,
            },
        },
        "texts": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"command": {"type": "string"}, "diff": {"type": "array", "items": {"type": "string"}}},
                "required": ["command", "diff"],
                "additionalProperties": False,
            },
        },
    },
    "required": ["schema", "verdict", "left", "right", "compared", "allowances", "changes", "texts"],
    "additionalProperties": False,
}
"""JSON Schema of a cross-check."""
