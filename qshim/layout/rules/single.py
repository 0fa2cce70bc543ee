"""Rules that look at one layout alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from qshim.layout.rules.facts import MAPPED, drawn, view_of
from qshim.layout.rules.finding import Limits, Seen
from qshim.layout.snapshot import Snapshot
from qshim.rows import RangeRow, RegionRow
from qshim.units import hex_plain, span

__all__ = ["SPACES", "look"]

SPACES = ("memory", "I/O")
"""What the guest's CPUs reach."""
_PAGE = 4096


def look(snapshot: Snapshot, limits: Limits) -> Iterator[Seen]:
    """What is wrong with *snapshot* whatever was before."""
    yield from _overlaps(snapshot)
    for space in SPACES:
        yield from _hidden(snapshot, space)
    view = view_of(snapshot)
    if view is not None:
        yield from _ranges(view.ranges, limits)
    for row, note in zip(snapshot.layout.blocks, snapshot.notes, strict=True):
        if note.from_file:
            what = f"RAM block '{row.name}' is {hex_plain(row.used_length)} bytes long because a file is"
            yield Seen("rom-from-file", row.name, what)


def _ranges(ranges: Sequence[RangeRow], limits: Limits) -> Iterator[Seen]:
    mapped = [r for r in ranges if r.type in MAPPED]
    for r in mapped:
        if r.start % _PAGE or (r.last + 1) % _PAGE:
            what = f"'{r.name}' ({r.type}) is visible at {span(r.start, r.last)}, which are no whole pages"
            yield Seen("ram-not-page-aligned", r.name, what, after=span(r.start, r.last))
    if len(mapped) > limits.memslots:
        what = f"memory is in {len(mapped)} pieces, and {limits.memslots} are allowed"
        yield Seen("memslot-budget", "memory", what, after=str(len(mapped)))
    end = max((r.last + 1 for r in ranges if r.type in MAPPED), default=0)
    if end > 1 << limits.address_bits:
        name = next(r.name for r in ranges if r.last + 1 == end)
        what = f"'{name}' ends at {hex_plain(end - 1)}, and addresses have {limits.address_bits} bits"
        yield Seen("address-width", name, what, after=hex_plain(end - 1))


def _trees(snapshot: Snapshot) -> Iterator[Sequence[RegionRow]]:
    for group in snapshot.layout.tree.groups:
        if set(SPACES) & set(group.spaces):
            yield group.regions
    for target in snapshot.layout.tree.targets:
        yield target.regions


def _overlaps(snapshot: Snapshot) -> Iterator[Seen]:
    for rows in _trees(snapshot):
        for placed in drawn(rows):
            row = placed.row
            if row.disabled or row.last == row.start:
                continue
            for other in placed.siblings:
                if (
                    not other.disabled
                    and other.last != other.start
                    and other.priority == row.priority
                    and other.start <= row.last
                    and row.start <= other.last
                ):
                    first, second = sorted((other.name, row.name))
                    where = span(max(row.start, other.start), min(row.last, other.last))
                    what = f"'{first}' and '{second}' overlap at {where}, both with priority {row.priority}"
                    yield Seen("overlap-equal-priority", f"{first} / {second}", what, names=(first, second))


def _hidden(snapshot: Snapshot, space: str) -> Iterator[Seen]:
    view = view_of(snapshot, space)
    if view is None:
        return
    for group in snapshot.layout.tree.groups:
        if space not in group.spaces:
            continue
        for placed in drawn(group.regions):
            row = placed.row
            if placed.children or not placed.enabled or row.alias is not None or row.last == row.start:
                continue
            here = [r for r in view.ranges if r.start <= row.last and row.start <= r.last]
            if any(r.name == row.name for r in here):
                continue
            covered = sum(min(r.last, row.last) - max(r.start, row.start) + 1 for r in here)
            if covered == row.last - row.start + 1:
                others = ", ".join(f"'{name}'" for name in dict.fromkeys(r.name for r in here))
                what = f"'{row.name}' at {span(row.start, row.last)} is wholly behind {others}"
                yield Seen("region-hidden", row.name, what, names=(row.name,))
