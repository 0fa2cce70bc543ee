"""Changes of `info mtree -f -d`: what is visible at each address, who shares a view, the dispatch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from itertools import pairwise, zip_longest
from typing import Any

from qshim.layout.compare.change import Change
from qshim.rows import FlatRow, FlatViewRow, RangeRow
from qshim.units import hex_plain, span
from qshim.views.flatview import dispatch_lines, range_line

__all__ = ["flat_changes", "views_by_space"]


def flat_changes(left: FlatRow, right: FlatRow) -> Iterator[Change]:
    """Changes of what is visible in each address space that both machines have."""
    before, after = views_by_space(left), views_by_space(right)
    told: set[tuple[int, int]] = set()
    for space in before:
        if space not in after:
            continue  # told with the trees
        a, b = before[space], after[space]
        if (id(a), id(b)) not in told:
            told.add((id(a), id(b)))
            yield from _view(space[0], a, b)
    shared = [{frozenset(k for k in side if side[k] is view) for view in side.values()} for side in (before, after)]
    common = before.keys() & after.keys()
    sharing = [{group & common for group in groups} - {frozenset()} for groups in shared]
    for group in sorted(sharing[1] - sharing[0], key=sorted):
        names = ", ".join(f"'{name}'" for name, _ in sorted(group))
        what = f"{names} {'share one view' if len(group) > 1 else 'has a view of its own'}"
        yield Change("view-sharing-changed", names, f"{what}, in other company than before", None, None)


def views_by_space(flat: FlatRow) -> dict[tuple[str, int], FlatViewRow]:
    """(name, how many of that name came before) -> view."""
    spaces: dict[tuple[str, int], FlatViewRow] = {}
    count: Counter[str] = Counter()
    for view in sorted(flat.views, key=_content):
        for space in view.spaces:
            spaces[space.name, count[space.name]] = view
            count[space.name] += 1
    return spaces


def _content(view: FlatViewRow) -> tuple[Any, ...]:
    """An order that does not depend on the order in which QEMU printed the views."""
    ranges = tuple((r.start, r.last, r.name, r.offset) for r in view.ranges)
    return tuple((s.name, s.root) for s in view.spaces), view.root or "", ranges


def _view(space: str, left: FlatViewRow, right: FlatViewRow) -> Iterator[Change]:
    if left.root != right.root:
        roots = [f"'{root}'" if root else "nothing" for root in (left.root, right.root)]
        what = f"the root of the view is {roots[1]} instead of {roots[0]}"
        yield Change("view-root-changed", space, what, None, None)
    same = True
    for change in _ranges(space, left.ranges, right.ranges):
        same = False
        yield change
    if same and left.dispatch and right.dispatch:
        lines = [
            [line.replace(" [MRU]", "") for line in dispatch_lines(dispatch)]
            for dispatch in (left.dispatch, right.dispatch)
        ]
        for a, b in zip_longest(*lines):
            if a != b:
                what = "the ranges are equal but the dispatch is not; the first line that differs"
                yield Change("dispatch-changed", space, what, a and a.rstrip(), b and b.rstrip())
                break


def _ranges(space: str, left: Sequence[RangeRow], right: Sequence[RangeRow]) -> Iterator[Change]:
    """Walk both from border to border, so that each stretch of addresses is told once."""
    edges = sorted({edge for r in (*left, *right) for edge in (r.start, r.last + 1)})
    runs: list[tuple[int, int, RangeRow | None, RangeRow | None]] = []
    at = [0, 0]
    for low, high in pairwise(edges):
        here: list[RangeRow | None] = []
        for side, rows in enumerate((left, right)):
            while at[side] < len(rows) and rows[at[side]].last < low:
                at[side] += 1
            row = rows[at[side]] if at[side] < len(rows) else None
            here.append(row if row is not None and row.start <= low else None)
        a, b = here
        if (a is None and b is None) or (a is not None and b is not None and _visible(a, low) == _visible(b, low)):
            continue
        if runs and runs[-1][1] == low and runs[-1][2] is a and runs[-1][3] is b:
            low = runs.pop()[0]
        runs.append((low, high, a, b))
    for low, high, a, b in runs:
        lines = [None if row is None else range_line(row, True).strip() for row in (a, b)]
        where = f"{span(low, high - 1)}"
        if a is None or b is None:
            kind, verb = ("range-added", "is visible now") if a is None else ("range-removed", "is visible no more")
            row = b or a
            assert row is not None
            yield Change(kind, space, f"{where}: '{row.name}' {verb}", *lines)
        else:
            from_start = a.offset + low - a.start == b.offset + low - b.start == 0
            seen = [_seen(row, None if from_start else low) for row in (b, a)]
            yield Change("range-changed", space, f"{where}: {seen[0]} instead of {seen[1]}", *lines)
    if not runs:
        yield from _pieces(space, left, right)


def _visible(row: RangeRow, addr: int) -> Hashable:
    """What an access to *addr* meets.

    The word `container` (11.1) is none of it: it says `i/o` otherwise. Owners are told with the trees.
    """
    word = "i/o" if row.type == "container" else row.type
    return (row.name, row.offset + addr - row.start, word, row.priority, row.nonvolatile)


def _seen(row: RangeRow, addr: int | None) -> str:
    word = f"nv-{row.type}" if row.nonvolatile else row.type
    if addr is None:
        return f"'{row.name}' ({word})"
    return f"'{row.name}' ({word}) from offset {hex_plain(row.offset + addr - row.start)}"


def _pieces(space: str, left: Sequence[RangeRow], right: Sequence[RangeRow]) -> Iterator[Change]:
    """The same is visible at each address, but perhaps in other pieces or with other memory slots."""
    borders = [{row.start for row in rows} for rows in (left, right)]
    for edge in sorted(borders[0] ^ borders[1]):
        verb = "is split" if edge in borders[1] else "is no longer split"
        row = next(row for row in (*left, *right) if row.start <= edge <= row.last)
        lines = [
            next((range_line(row, True).strip() for row in rows if row.start <= edge <= row.last), None)
            for rows in (left, right)
        ]
        yield Change("range-split", space, f"'{row.name}' {verb} at {hex_plain(edge)}", *lines)
    if borders[0] == borders[1]:
        for a, b in zip(left, right, strict=True):
            if a.accelerators != b.accelerators:
                what = f"'{a.name}' has the memory slots {list(b.accelerators)} instead of {list(a.accelerators)}"
                lines = [range_line(row, True).strip() for row in (a, b)]
                yield Change("accelerator-changed", space, what, lines[0], lines[1])
