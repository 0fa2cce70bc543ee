"""For a terminal: what differs, by kind, with the two lines below or beside each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from qshim.layout.compare import CHANGES, Change
from qshim.layout.verify import Difference
from qshim.reports.model import Report, Side, grouped

__all__ = ["Line", "lines", "render"]

_MOST = 40
"""Changes of one kind that are shown; the rest is counted."""


class Line(NamedTuple):
    """One line of the report, and what it is."""

    text: str
    style: str = ""
    """`kind`, `verdict`, `note`, `out` (of the first machine), `in` (of the second), or nothing."""
    beside: str | None = None
    """The second machine's line where both have one: it stands below, or beside it where there is room."""


def render(report: Report) -> str:
    """The report without colours, lines ended by a newline."""
    result = []
    for line in lines(report):
        result.append(f"{line.text}\n")
        if line.beside is not None:
            result.append(f"{line.beside}\n")
    return "".join(result)


def lines(report: Report) -> Iterator[Line]:
    """The report line by line."""
    yield Line(f"- {_described(report.left)}", "out")
    yield Line(f"+ {_described(report.right)}", "in")
    yield from _changes(report.changes)
    yield from _differences(report.texts)
    for name, reason in report.allowances:
        yield Line(f"allowed to differ: {name} ({reason})", "note")
    if report.refusals:
        yield Line(f"{report.verdict}: {' / '.join(report.refusals)}", "verdict")
    else:
        compared = f"{len(report.compared)} texts compared ({', '.join(report.compared)})"
        yield Line(f"{report.verdict}: {compared}", "verdict")


def _described(side: Side) -> str:
    behind = [word for word in (side.machine, f"QEMU {side.version}" if side.version else None) if word]
    return f"{side.name} ({', '.join(behind)})" if behind else side.name


def _changes(changes: tuple[Change, ...]) -> Iterator[Line]:
    for kind, meaning in CHANGES.items():
        mine = [change for change in changes if change.kind == kind]
        if not mine:
            continue
        yield Line(f"{kind} ({len(mine)}): {meaning}", "kind")
        groups = grouped(mine)
        for sentence, group in groups[:_MOST]:
            where = group[0].place if len(group) == 1 else f"{group[0].place} ..."
            yield Line(f"  {sentence}  [{where}]")
            if len(group) == 1:
                yield from _both(group[0])
        rest = sum(len(group) for _, group in groups[_MOST:])
        if rest:
            yield Line(f"  ... and {rest} more")


def _both(change: Change) -> Iterator[Line]:
    sides = [None if line is None else line.strip().split("\n") for line in (change.left, change.right)]
    left, right = sides
    if left is not None and right is not None and len(left) == len(right) == 1:
        yield Line(f"    - {left[0]}", "out", f"    + {right[0]}")
        return
    yield from (Line(f"    - {line}", "out") for line in left or ())
    yield from (Line(f"    + {line}", "in") for line in right or ())


def _differences(differences: tuple[Difference, ...]) -> Iterator[Line]:
    for difference in differences:
        yield Line(f"text differs: {difference.command}", "kind")
        for line in difference.lines:
            yield Line(f"  {line}", {"-": "out", "+": "in"}.get(line[:1], ""))
