"""Annotations of GitHub Actions: one workflow command for each change."""

from __future__ import annotations

from collections.abc import Iterator

from qshim.reports.model import Report

__all__ = ["render"]


def render(report: Report) -> str:
    """The report as workflow commands; a notice when nothing differs, so that the check is seen to have run."""
    return "".join(f"{line}\n" for line in _lines(report))


def _lines(report: Report) -> Iterator[str]:
    if report.exit_status == 3:
        yield _command("error", report.verdict, " / ".join(report.refusals) or "nothing could be compared")
    for change in report.changes:
        lines = [change.what, *(f"{s} {line}" for s, line in (("-", change.left), ("+", change.right)) if line)]
        yield _command("error", f"{change.kind} in {change.place}", "\n".join(lines))
    for difference in report.texts:
        yield _command("error", f"{difference.command} differs", "\n".join(difference.lines))
    if report.verdict == "same":
        yield _command("notice", "qshim crosscheck", f"same: {', '.join(report.compared)}")


def _command(level: str, title: str, message: str) -> str:
    return f"::{level} title={_escaped(title, ':,')}::{_escaped(message)}"


def _escaped(text: str, more: str = "") -> str:
    for char in f"%\r\n{more}":
        text = text.replace(char, f"%{ord(char):02X}")
    return text
