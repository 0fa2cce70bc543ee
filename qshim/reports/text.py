"""For a terminal: what differs, by kind, with the two lines below each other."""

from __future__ import annotations

from collections.abc import Iterator

from qshim.layout.compare import CHANGES, Change
from qshim.layout.verify import Difference
from qshim.reports.model import Report, Side

__all__ = ["render"]

_MOST = 40
"""Changes of one kind that are shown; the rest is counted."""


def render(report: Report) -> str:
    """The report, lines ended by a newline."""
    return "".join(f"{line}\n" for line in _lines(report))


def _lines(report: Report) -> Iterator[str]:
    yield f"- {_described(report.left)}"
    yield f"+ {_described(report.right)}"
    yield from _changes(report.changes)
    yield from _differences(report.texts)
    for name, reason in report.allowances:
        yield f"allowed to differ: {name} ({reason})"
    if report.refusals:
        yield f"{report.verdict}: {' / '.join(report.refusals)}"
    else:
        yield f"{report.verdict}: {len(report.compared)} texts compared ({', '.join(report.compared)})"


def _described(side: Side) -> str:
    behind = [word for word in (side.machine, f"QEMU {side.version}" if side.version else None) if word]
    return f"{side.name} ({', '.join(behind)})" if behind else side.name


def _changes(changes: tuple[Change, ...]) -> Iterator[str]:
    for kind, meaning in CHANGES.items():
        mine = [change for change in changes if change.kind == kind]
        if not mine:
            continue
        yield f"{kind} ({len(mine)}): {meaning}"
        for change in mine[:_MOST]:
            yield f"  {change.what}  [{change.place}]"
            for sign, line in (("-", change.left), ("+", change.right)):
                if line is not None:
                    yield f"    {sign} " + line.strip().replace("\n", f"\n    {sign} ")
        if len(mine) > _MOST:
            yield f"  ... and {len(mine) - _MOST} more"


def _differences(differences: tuple[Difference, ...]) -> Iterator[str]:
    for difference in differences:
        yield f"text differs: {difference.command}"
        yield from (f"  {line}" for line in difference.lines)
