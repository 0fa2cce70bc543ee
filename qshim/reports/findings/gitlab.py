"""GitLab's code quality report: a JSON array, shown in merge requests."""

from __future__ import annotations

import json
from hashlib import sha256

from qshim.reports.findings.model import Checked

__all__ = ["render"]

_SEVERITIES = {"error": "critical", "warning": "major", "info": "info"}


def render(checked: Checked) -> str:
    """One entry for each finding that is not waived, and for each layout that could not be had."""
    entries = [
        {
            "description": f"{f.layout}: {f.what} ({f.consequence})",
            "check_name": f.rule,
            "fingerprint": f.fingerprint,
            "severity": _SEVERITIES[f.severity],
            "location": {"path": checked.file_of(f), "lines": {"begin": 1}},
        }
        for f in checked.findings
        if f.waived is None
    ]
    entries += [
        {
            "description": f"{failed.layout} could not be had: {failed.reason}",
            "check_name": "incomplete",
            "fingerprint": sha256("\0".join(failed).encode()).hexdigest()[:12],
            "severity": "blocker",
            "location": {"path": checked.config, "lines": {"begin": 1}},
        }
        for failed in checked.failed
    ]
    return json.dumps(entries, indent=2) + "\n"
