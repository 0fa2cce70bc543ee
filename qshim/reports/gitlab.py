"""GitLab's code quality report: a JSON array, shown in merge requests."""

from __future__ import annotations

import json
from hashlib import sha256

from qshim.reports.model import Report, fingerprint

__all__ = ["render"]


def render(report: Report) -> str:
    """One entry for each change, for each text that differs otherwise, and for a comparison that could not be made."""
    entries = [_entry(c.kind, f"{c.place}: {c.what}", fingerprint(c), "critical", report) for c in report.changes]
    entries += [
        _entry("text-differs", f"{d.command} differs", _hash(d.command, *d.lines), "critical", report)
        for d in report.texts
    ]
    if report.exit_status == 3:
        reason = " / ".join(report.refusals) or "nothing could be compared"
        entries.append(_entry("not-compared", f"{report.verdict}: {reason}", _hash(reason), "blocker", report))
    return json.dumps(entries, indent=2) + "\n"


def _hash(*words: str) -> str:
    return sha256("\0".join(words).encode()).hexdigest()[:12]


def _entry(name: str, text: str, mark: str, severity: str, report: Report) -> dict[str, object]:
    return {
        "description": text,
        "check_name": name,
        "fingerprint": mark,
        "severity": severity,
        "location": {"path": report.right.name.removeprefix("/"), "lines": {"begin": 1}},
    }
