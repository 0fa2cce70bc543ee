"""From the region tree to flat ranges (spec/memory.md 2). Pure: reads the tree, changes nothing.

Rendering fills: higher priorities first, each region takes what is still free in its place. Ranges
that are contiguous in address and in region are merged at the end.

A change to the tree names the addresses it may have affected. `rerender` draws only those anew and
joins the result to what lies left and right of them. That gives the same ranges as drawing all,
because whether two neighbours merge depends on nothing but the two; only unmergeable ranges keep
the cuts they were drawn with, so a stretch is widened until it cuts none.
"""

from __future__ import annotations

from bisect import bisect_right
from operator import itemgetter
from typing import TYPE_CHECKING

from qshim.memory.flatview import FlatRange, FlatView, Window
from qshim.units import SPACE

if TYPE_CHECKING:
    from qshim.memory.region import MemoryRegion

__all__ = ["Resolution", "draw", "merge", "render", "rerender", "resolve"]

_start = itemgetter(2)

Resolution = tuple["MemoryRegion | None", list["MemoryRegion"]]
"""The region whose ranges an address space shows (None: nothing), and all regions this depends on."""


def resolve(root: MemoryRegion) -> Resolution:
    """The region that is rendered for *root* (memory.md 2.1).

    Address spaces whose roots resolve to the same region share one view. A skipped region loses its
    influence; what it would have added to addresses or flags is not made good.
    """
    region, asked = root, [root]
    while True:
        if not region.enabled:
            return None, asked
        if region.alias is not None:
            target = region.alias
            asked.append(target)
            if region.alias_offset or region.size < target.size:
                return region, asked
            region = target
        elif not region.terminates:
            if not region.enabled_children:
                return None, asked
            child = region.sole_enabled_child
            if child is None:
                return region, asked
            asked.append(child)
            if child.addr or region.size < child.size:
                return region, asked
            region = child
        else:
            return region, asked


def draw(root: MemoryRegion, low: int = 0, high: int = SPACE) -> list[FlatRange]:
    """Ranges of *root* within [low, high), ascending, not yet merged (memory.md 2.2).

    No recursion, so that no nesting of bridges is too deep.
    """
    out: list[FlatRange] = []
    # (region, base, clip low, clip high, readonly, nonvolatile, unmergeable, children done)
    stack: list[tuple[MemoryRegion, int, int, int, bool, bool, bool, bool]] = [
        (root, 0, low, high, False, False, False, False)
    ]
    while stack:
        region, base, low, high, readonly, nonvolatile, unmergeable, children_done = stack.pop()
        if children_done:
            _fill(out, region, base, low, high, (readonly, nonvolatile, unmergeable))
            continue
        if not region.enabled:
            continue
        base += region.addr
        readonly = readonly or region.readonly
        nonvolatile = nonvolatile or region.nonvolatile
        unmergeable = unmergeable or region.unmergeable
        low, high = max(low, base), min(high, base + region.size)
        if low >= high:
            continue
        target = region.alias
        if target is not None:
            base -= target.addr + region.alias_offset
            stack.append((target, base, low, high, readonly, nonvolatile, unmergeable, False))
            continue
        if region.terminates:
            stack.append((region, base, low, high, readonly, nonvolatile, unmergeable, True))
        if region.enabled_children:
            stack += [
                (child, base, low, high, readonly, nonvolatile, unmergeable, False)
                for child in reversed(region.children_meeting(low - base, high - base))
            ]
    return out


def _fill(
    out: list[FlatRange], region: MemoryRegion, base: int, low: int, high: int, flags: tuple[bool, bool, bool]
) -> None:
    """Give *region* what is still free in [low, high)."""
    mask, romd = region.effective_dirty_mask, region.romd_mode
    first = bisect_right(out, low, key=_start)
    if first and out[first - 1].start + out[first - 1].size > low:
        first -= 1
    at, position = first, low
    filled: list[FlatRange] = []
    while position < high:
        taken = out[at] if at < len(out) and out[at].start < high else None
        if taken is None or position < taken.start:
            end = high if taken is None else taken.start
            filled.append(FlatRange(region, position - base, position, end - position, mask, romd, *flags))
            position = end
        if taken is not None:
            filled.append(taken)
            at += 1
            position = taken.start + taken.size
    out[first:at] = filled


def merge(ranges: list[FlatRange]) -> list[FlatRange]:
    """Neighbours that continue each other become one range (memory.md 2.3)."""
    merged: list[FlatRange] = []
    for current in ranges:
        if merged and merged[-1].absorbs(current):
            merged[-1] = merged[-1]._replace(size=merged[-1].size + current.size)
        else:
            merged.append(current)
    return merged


def render(root: MemoryRegion, page_bits: int) -> FlatView:
    """The view of a root that `resolve` gave, drawn as a whole."""
    return FlatView.of(root, merge(draw(root)), page_bits)


def rerender(view: FlatView, stretches: list[tuple[int, int]]) -> tuple[FlatView, list[Window]]:
    """*view* after changes within *stretches* ([low, high) each), and where the two differ.

    A view that did not change is returned as it is, with no windows.
    """
    root = view.root
    assert root is not None
    windows: list[Window] = []
    for low, high in _widened(view, stretches):
        around = view.touching(low, high)
        pieces: list[FlatRange] = []
        for r in around:
            if r.start < low:
                pieces.append(r if r.end <= low else r._replace(size=low - r.start))
        pieces += draw(root, low, high)
        for r in around:
            if r.end > high:
                skipped = max(high - r.start, 0)
                pieces.append(
                    r if not skipped else r._replace(offset=r.offset + skipped, start=high, size=r.size - skipped)
                )
        fresh = tuple(merge(pieces))
        if fresh == around:
            continue
        view = view.spliced(low, high, fresh)
        windows.append(_trimmed(around, fresh))
    return view, windows


def _widened(view: FlatView, stretches: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Stretches joined where they meet, widened to whole unmergeable ranges, within the address space."""
    joined: list[tuple[int, int]] = []
    for low, high in sorted(stretches):
        low, high = max(low, 0), min(high, SPACE)
        if low >= high:
            continue
        while True:
            stuck = [r for r in view.touching(low, high) if r.unmergeable]
            wider = min([low, *(r.start for r in stuck)]), max([high, *(r.end for r in stuck)])
            if wider == (low, high):
                break
            low, high = wider
        while joined and (joined[-1][1] >= low or _share_range(view, joined[-1], (low, high))):
            before = joined.pop()
            low, high = min(before[0], low), max(before[1], high)
        joined.append((low, high))
    return joined


def _share_range(view: FlatView, left: tuple[int, int], right: tuple[int, int]) -> bool:
    """Whether one range touches both: then what is drawn for the one decides how the other ends."""
    touched = view.touching(right[0], right[0])
    return bool(touched) and touched[0].start <= left[1]


def _trimmed(old: tuple[FlatRange, ...], new: tuple[FlatRange, ...]) -> Window:
    """Both without the ranges that they have in common at the beginning and at the end."""
    first = 0
    while first < min(len(old), len(new)) and old[first] == new[first]:
        first += 1
    final = 0
    while final < min(len(old), len(new)) - first and old[-1 - final] == new[-1 - final]:
        final += 1
    return Window(old[first : len(old) - final], new[first : len(new) - final])
