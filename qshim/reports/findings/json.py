"""Findings as data. `CHECK_SCHEMA` is the JSON Schema."""

from __future__ import annotations

import json

from qshim.layout.rules import RULES, SEVERITIES
from qshim.reports.findings.model import Checked
from qshim.views.typed import JsonObject

__all__ = ["CHECK_SCHEMA", "document", "render"]


def render(checked: Checked) -> str:
    """The check as JSON, indented."""
    return json.dumps(document(checked), indent=2) + "\n"


def document(checked: Checked) -> dict[str, object]:
    """The check as values that JSON knows."""
    return {
        "schema": "qshim/check/1",
        "verdict": checked.verdict,
        "fail_on": checked.fail_on,
        "layouts": list(checked.layouts),
        "failed": [failed._asdict() for failed in checked.failed],
        "findings": [
            {
                "rule": f.rule,
                "severity": f.severity,
                "layout": f.layout,
                "object": f.object,
                "what": f.what,
                "consequence": f.consequence,
                "before": f.before,
                "after": f.after,
                "waived": f.waived,
                "fingerprint": f.fingerprint,
            }
            for f in checked.findings
        ],
    }


_TEXT: JsonObject = {"type": "string"}
_MAYBE: JsonObject = {"type": ["string", "null"]}


def _closed(properties: JsonObject) -> JsonObject:
    return {
        "type": "object", "properties": properties, "required": list(properties), "additionalProperties": False,
    }  # fmt: skip


CHECK_SCHEMA: JsonObject = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "qshim/check/1",
    "description": "what `qshim check --format json` prints",
    **_closed(
        {
            "schema": {"const": "qshim/check/1"},
            "verdict": {"enum": ["clean", "findings", "incomplete"]},
            "fail_on": {"enum": list(SEVERITIES)},
            "layouts": {"type": "array", "description": "those that were judged", "items": _TEXT},
            "failed": {"type": "array", "items": _closed({"layout": _TEXT, "reason": _TEXT})},
            "findings": {
                "type": "array",
                "items": _closed(
                    {
                        "rule": {"enum": list(RULES)},
                        "severity": {"enum": list(SEVERITIES)},
                        "layout": _TEXT,
                        "object": _TEXT,
                        "what": _TEXT,
                        "consequence": _TEXT,
                        "before": _MAYBE,
                        "after": _MAYBE,
                        "waived": {"type": ["string", "null"], "description": "the reason of the waiver"},
                        "fingerprint": {"type": "string", "pattern": "^[0-9a-f]{12}$"},
                    }
                ),
            },
        }
    ),
}
"""JSON Schema of a check."""
