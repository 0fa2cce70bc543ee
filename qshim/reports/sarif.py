"""SARIF 2.1.0: kinds of changes are rules, changes are results at logical locations."""

from __future__ import annotations

import json

from qshim import __version__
from qshim.layout.compare import CHANGES
from qshim.reports.model import Report, fingerprint

__all__ = ["render"]


def render(report: Report) -> str:
    """The report as one run; a comparison that could not be made is a failed invocation, not an empty result."""
    rules = [{"id": kind, "shortDescription": {"text": meaning}} for kind, meaning in CHANGES.items()]
    rules.append({"id": "text-differs", "shortDescription": {"text": "a monitor text differs in another way"}})
    results = [
        {
            "ruleId": change.kind,
            "level": "error",
            "message": {"text": change.what},
            "locations": [{"logicalLocations": [{"fullyQualifiedName": change.place}]}],
            "partialFingerprints": {"qshim/1": fingerprint(change)},
            "properties": {"first": change.left, "second": change.right},
        }
        for change in report.changes
    ]
    results += [
        {
            "ruleId": "text-differs",
            "level": "error",
            "message": {"text": "\n".join(difference.lines)},
            "locations": [{"logicalLocations": [{"fullyQualifiedName": difference.command}]}],
        }
        for difference in report.texts
    ]
    invocation: dict[str, object] = {"executionSuccessful": report.exit_status != 3}
    if report.exit_status == 3:
        reason = " / ".join(report.refusals) or "nothing could be compared"
        invocation["toolExecutionNotifications"] = [
            {"level": "error", "message": {"text": f"{report.verdict}: {reason}"}}
        ]
    document = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": {"name": "qshim", "version": __version__, "rules": rules}},
                "invocations": [invocation],
                "results": results,
                "properties": {"first": report.left.name, "second": report.right.name, "verdict": report.verdict},
            }
        ],
    }
    return json.dumps(document, indent=2) + "\n"
