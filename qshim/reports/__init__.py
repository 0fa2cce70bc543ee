"""One file for each format that findings are printed in; `FORMATS` is the table."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qshim.reports.model import Report

__all__ = ["FORMATS", "rendered"]

FORMATS = {
    "text": "for people, in a terminal",
    "json": "for programs; `qshim schema report` describes it",
    "markdown": "for comments on a change request",
    "junit": "XML that CI servers show as tests",
    "github": "annotations of GitHub Actions",
    "gitlab": "GitLab's code quality report",
    "sarif": "SARIF 2.1.0 for code scanning",
    "html": "one page with both memory maps next to each other",
}
"""Name -> what it is for. Module qshim.reports.NAME has `render(report) -> str`."""


def rendered(report: Report, name: str) -> str:
    """*report* in the format *name*, a key of `FORMATS`; ends in a newline."""
    text: str = import_module(f"qshim.reports.{name}").render(report)
    return text
