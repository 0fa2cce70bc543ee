"""Findings as data. `REPORT_SCHEMA` is the JSON Schema, `qshim schema report` prints it."""

from __future__ import annotations

import json

from qshim.layout.compare import CHANGES
from qshim.reports.model import Report, Side, fingerprint
from qshim.views.typed import JsonObject

__all__ = ["REPORT_SCHEMA", "document", "render"]


def render(report: Report) -> str:
    """The report as JSON, indented."""
    return json.dumps(document(report), indent=2) + "\n"


def document(report: Report) -> dict[str, object]:
    """The report as values that JSON knows."""
    return {
        "schema": "qshim/report/1",
        "verdict": report.verdict,
        "left": _side(report.left),
        "right": _side(report.right),
        "compared": list(report.compared),
        "unequal": list(report.unequal),
        "allowances": [{"name": name, "reason": reason} for name, reason in report.allowances],
        "changes": [
            {
                "kind": c.kind,
                "place": c.place,
                "what": c.what,
                "left": c.left,
                "right": c.right,
                "fingerprint": fingerprint(c),
            }
            for c in report.changes
        ],
        "texts": [{"command": d.command, "diff": list(d.lines)} for d in report.texts],
    }


def _side(side: Side) -> dict[str, str | None]:
    return {"name": side.name, "version": side.version, "machine": side.machine, "refused": side.refused}


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
        "unequal": {
            "type": "array",
            "description": "compared texts that differ after the allowances",
            "items": {"type": "string"},
        },
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
                    "fingerprint": {"type": "string", "pattern": "^[0-9a-f]{12}$"},
                },
                "required": ["kind", "place", "what", "left", "right", "fingerprint"],
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
    "required": ["schema", "verdict", "left", "right", "compared", "unequal", "allowances", "changes", "texts"],
    "additionalProperties": False,
}
"""JSON Schema of a cross-check."""
