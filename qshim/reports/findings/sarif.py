"""SARIF 2.1.0: the catalogue is the tool's rules, findings are results; waivers are suppressions."""

from __future__ import annotations

import json

from qshim import __version__
from qshim.layout.rules import RULES
from qshim.reports.findings.model import Checked

__all__ = ["render"]

_LEVELS = {"error": "error", "warning": "warning", "info": "note"}


def render(checked: Checked) -> str:
    """The check as one run; a layout that could not be had makes the invocation a failed one."""
    rules = [
        {
            "id": name,
            "shortDescription": {"text": rule.title},
            "fullDescription": {"text": rule.consequence},
            "help": {"text": rule.page},
            "defaultConfiguration": {"level": _LEVELS[rule.severity]},
        }
        for name, rule in RULES.items()
    ]
    results: list[dict[str, object]] = []
    for f in checked.findings:
        result: dict[str, object] = {
            "ruleId": f.rule,
            "level": _LEVELS[f.severity],
            "message": {"text": f"{f.layout}: {f.what}; {f.consequence}"},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": checked.file_of(f)},
                        "region": {"startLine": 1},
                    },
                    "logicalLocations": [{"fullyQualifiedName": f"{f.layout}/{f.object}"}],
                }
            ],
            "partialFingerprints": {"qshim/1": f.fingerprint},
        }
        if f.waived is not None:
            result["suppressions"] = [{"kind": "external", "justification": f.waived}]
        results.append(result)
    invocation: dict[str, object] = {"executionSuccessful": not checked.failed}
    if checked.failed:
        invocation["toolExecutionNotifications"] = [
            {"level": "error", "message": {"text": f"{failed.layout} could not be had: {failed.reason}"}}
            for failed in checked.failed
        ]
    document = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": {"name": "qshim", "version": __version__, "rules": rules}},
                "invocations": [invocation],
                "results": results,
            }
        ],
    }
    return json.dumps(document, indent=2) + "\n"
