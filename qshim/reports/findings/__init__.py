"""Findings of layout rules, one file for each format; `FORMATS` is the table."""

from __future__ import annotations

from importlib import import_module

from qshim.reports.findings.model import Checked, Failed

__all__ = ["FORMATS", "Checked", "Failed", "rendered"]

FORMATS = {
    "text": "for people, in a terminal",
    "json": "for programs; `qshim rules --schema` describes it",
    "markdown": "for comments on a change request",
    "junit": "XML that CI servers show as tests",
    "github": "annotations of GitHub Actions",
    "gitlab": "GitLab's code quality report",
    "sarif": "SARIF 2.1.0 for code scanning",
}
"""Name -> what it is for. Module qshim.reports.findings.NAME has `render(checked) -> str`."""


def rendered(checked: Checked, name: str) -> str:
    """*checked* in the format *name*, a key of `FORMATS`; ends in a newline."""
    text: str = import_module(f"qshim.reports.findings.{name}").render(checked)
    return text
