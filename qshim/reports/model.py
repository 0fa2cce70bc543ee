"""What a comparison found: values only, whatever format they are printed in."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from qshim.layout.compare import Change
from qshim.layout.verify import Difference

__all__ = ["Report", "Side", "fingerprint"]


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


def fingerprint(change: Change) -> str:
    """12 hex digits that stay the same as long as the difference does."""
    return sha256("\0".join((change.kind, change.place, change.what)).encode()).hexdigest()[:12]
