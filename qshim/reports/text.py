"""A cross-check for a terminal: what differs, by kind, with the two lines below each other."""

from __future__ import annotations

from collections.abc import Iterator

from qshim.layout.compare import CHANGES, Change
from qshim.layout.verify import Difference

__all__ = ["change_lines", "difference_lines"]

_MOST = 40
"""Changes of one kind that are shown; the rest is counted."""


def change_lines(changes: tuple[Change, ...]) -> Iterator[str]:
    """The changes, grouped by kind in the order of `CHANGES`, each with its two lines."""
    for kind, meaning in CHANGES.items():
        mine = [change for change in changes if change.kind == kind]
        if not mine:
            continue
        yield f"{kind} ({len(mine)}): {meaning}"
        for change in mine[:_MOST]:
            yield f"  {change.what}  [{change.place}]"
            for sign, line in (("-", change.left), ("+", change.right)):
                if line is not None:
                    yield f"    {sign} {line.strip()}"
        if len(mine) > _MOST:
            yield f"  ... and {len(mine) - _MOST} more"


def difference_lines(differences: tuple[Difference, ...]) -> Iterator[str]:
    """The texts that differ without a change that says what it means."""
    for difference in differences:
        yield f"text differs: {difference.command}"
        yield from (f"  {line}" for line in difference.lines)
