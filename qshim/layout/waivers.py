"""Findings that a project accepts for now: a rule, a pattern of objects, a reason and a last day."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from fnmatch import fnmatchcase

from qshim.layout.rules import Finding
from qshim.layout.rules.finding import Seen
from qshim.layout.rules.judge import finding

__all__ = ["Waiver", "waive"]

PLACE = "qshim.toml"
"""What stands for the layout in findings about waivers."""


@dataclass(frozen=True, slots=True)
class Waiver:
    """One accepted finding, or several of one rule."""

    rule: str
    object: str
    """Pattern (`*`, `?`, `[...]`) of the object."""
    reason: str
    expires: date
    """The last day on which it counts."""
    layout: str = "*"
    """Pattern of the name of the layout."""

    def covers(self, found: Finding) -> bool:
        """Whether *found* is one of those that it accepts."""
        return (
            self.rule == found.rule
            and fnmatchcase(found.object, self.object)
            and fnmatchcase(found.layout, self.layout)
        )

    @property
    def label(self) -> str:
        """How findings about it call it."""
        return f"{self.rule} {self.object}" if self.layout == "*" else f"{self.rule} {self.object} ({self.layout})"


def waive(
    findings: Iterable[Finding], waivers: Iterable[Waiver], today: date, *, complete: bool = True
) -> tuple[Finding, ...]:
    """*findings*, those marked that a waiver covers, and findings about waivers that are over or cover nothing.

    A waiver that is over covers nothing. Whether one is used can be said only of a *complete* run.
    """
    waivers = tuple(waivers)
    used: set[Waiver] = set()
    result = []
    for found in findings:
        covering = next((w for w in waivers if w.covers(found)), None)
        if covering is not None:
            used.add(covering)
            if covering.expires >= today:
                found = replace(found, waived=covering.reason)
        result.append(found)
    for waiver in waivers:
        if waiver.expires < today:
            what = f"the waiver of {waiver.label} ended on {waiver.expires} (it said: {waiver.reason})"
            seen = Seen("waiver-expired", waiver.label, what)
        elif waiver not in used and complete:
            seen = Seen("waiver-unused", waiver.label, f"the waiver of {waiver.label} covers no finding")
        else:
            continue
        about = finding(PLACE, seen)
        assert about is not None
        result.append(about)
    return tuple(result)
