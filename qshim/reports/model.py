"""What a comparison found: values only, whatever format they are printed in."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from qshim.layout.compare import Change, Layout
from qshim.layout.verify import Difference

__all__ = ["Report", "Side", "fingerprint", "grouped"]

_THING = re.compile(r"(?:RAM block |address space )?'[^']*'(?= )")
_NAMED = 12


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two machines."""

    name: str
    """As the user named it: a program, a file, an address, or `qshim`."""
    version: str | None
    """Of the QEMU that is behind it; None when it did not start."""
    machine: str | None
    refused: str | None = None
    """Why its QEMU did not start."""


@dataclass(frozen=True, slots=True)
class Report:
    """The comparison of *left* and *right*."""

    left: Side
    right: Side
    changes: tuple[Change, ...] = ()
    """What differs, as what it means."""
    texts: tuple[Difference, ...] = ()
    """Monitor texts that differ after the allowances, as unified diffs."""
    compared: tuple[str, ...] = ()
    """Commands whose texts were compared; empty means that nothing was."""
    unequal: tuple[str, ...] = ()
    """Those of them whose texts differ after the allowances, whether or not a change says why."""
    allowances: tuple[tuple[str, str], ...] = ()
    """(name, reason) of what was allowed to differ and did."""
    layouts: tuple[Layout, Layout] | None = None
    """The memory of both sides, for formats that draw it; None where there is none to draw."""

    @property
    def verdict(self) -> str:
        """`same`, `differs`, `refused by both`, `refused by one`, or `nothing compared`."""
        refusals = [side.refused for side in (self.left, self.right) if side.refused is not None]
        if refusals:
            return "refused by both" if len(refusals) == 2 else "refused by one"
        if not self.compared:
            return "nothing compared"
        return "differs" if self.changes or self.texts else "same"

    @property
    def exit_status(self) -> int:
        """0 the same, 1 different, 3 not compared (DESIGN.md decision 8)."""
        return {"same": 0, "differs": 1}.get(self.verdict, 3)

    @property
    def refusals(self) -> tuple[str, ...]:
        """Why sides did not start, each reason once."""
        return tuple(dict.fromkeys(side.refused for side in (self.left, self.right) if side.refused is not None))


def grouped(changes: Sequence[Change]) -> list[tuple[str, tuple[Change, ...]]]:
    """*changes* with those together that say the same of several things, each group with one sentence for all."""
    groups: dict[tuple[str, str], list[Change]] = {}
    for number, change in enumerate(changes):
        match = _THING.match(change.what)
        # what names no thing, or says nothing of its own behind the name, stays alone
        key = change.what[match.end() :] if match else f"{number}"
        groups.setdefault((change.kind, key), []).append(change)
    return [(_sentence(rest, group), tuple(group)) for (_, rest), group in groups.items()]


def _sentence(rest: str, group: Sequence[Change]) -> str:
    if len(group) == 1:
        return group[0].what
    names = Counter(match[0] for change in group if (match := _THING.match(change.what)))
    listed = [name if count == 1 else f"{name} ({count} times)" for name, count in names.items()]
    more = f" and {len(listed) - _NAMED} more" if len(listed) > _NAMED else ""
    return f"{len(group)}: {', '.join(listed[:_NAMED])}{more}: each{rest}"


def fingerprint(change: Change) -> str:
    """12 hex digits that stay the same as long as the difference does."""
    return sha256("\0".join((change.kind, change.place, change.what)).encode()).hexdigest()[:12]
