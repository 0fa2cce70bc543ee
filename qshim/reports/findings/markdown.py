"""For a comment on a change request."""

from __future__ import annotations

from collections.abc import Iterator

from qshim.reports.findings.model import Checked

__all__ = ["render"]


def render(checked: Checked) -> str:
    """A verdict, and a table for each layout with findings."""
    return "".join(f"{line}\n" for line in _lines(checked))


def _lines(checked: Checked) -> Iterator[str]:
    yield f"**{checked.verdict}**: {checked.summary()}"
    for place in checked.places():
        found = checked.of(place)
        if found:
            yield f"\n### {_cell(place)}\n\n| | rule | what | what will happen |\n|---|---|---|---|"
        for f in found:
            severity = f"~~{f.severity}~~ {_cell(f.waived)}" if f.waived is not None else f.severity
            yield f"| {severity} | `{f.rule}` | {_cell(f.what)} | {_cell(f.consequence)} |"
    for failed in checked.failed:
        yield f"\n**{_cell(failed.layout)} could not be had:** {_cell(failed.reason)}"


def _cell(text: str) -> str:
    return " ".join(text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").split())
