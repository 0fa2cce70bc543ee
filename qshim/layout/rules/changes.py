"""Rules that compare a layout with the one before."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

from qshim.layout.compare.change import Change
from qshim.layout.compare.flats import flat_changes
from qshim.layout.compare.ramblocks import block_changes
from qshim.layout.compare.trees import tree_changes
from qshim.layout.migration import predict
from qshim.layout.rules.facts import FOUR_GIB, hole_below_4g, main_ram, view_of
from qshim.layout.rules.finding import Seen
from qshim.layout.rules.single import SPACES
from qshim.layout.snapshot import Snapshot
from qshim.rows import FlatRow, SpaceRow
from qshim.units import hex_plain

__all__ = ["changed"]

_ROW = re.compile(r"\(prio -?\d+, (?:nv-)?(?P<type>[^)]+)\): (?P<alias>alias )?(?P<name>.*)")
_SIZES = re.compile(r"from (0x[0-9a-f]+) to (0x[0-9a-f]+) bytes")
_QUOTED = re.compile(r"'([^']*)'")
_PLACES = (*(f"address-space: {space}" for space in SPACES), "memory-region: ")
_DEVICE_MEMORY = "device-memory"
_REGISTERS = ("i/o", "romd")


def changed(before: Snapshot, after: Snapshot) -> Iterator[Seen]:
    """Everything that the rules know to say about the change from *before* to *after*."""
    seen: list[Seen] = []
    if before.machine and after.machine and before.machine != after.machine:
        what = f"the machine type is {after.machine} instead of {before.machine}"
        then = f"an incoming migration is refused: {predict(before, after).errors[0]}"
        seen.append(Seen("machine-type-changed", "machine", what, before.machine, after.machine, consequence=then))
    seen += _blocks(before, after)
    seen += _ram(before, after)
    seen += _memory_devices(before, after)
    renamed: set[str] = set()
    seen += _regions(before, after, renamed)
    holes = hole_below_4g(before), hole_below_4g(after)
    if holes[0] is not None and holes[1] is not None and holes[1] < holes[0]:
        what = f"{hex_plain(holes[1])} bytes are left below 4 GiB instead of {hex_plain(holes[0])}"
        seen.append(Seen("pci-hole-shrunk", "below 4 GiB", what, hex_plain(holes[0]), hex_plain(holes[1])))
    yield from seen
    yield from _unexplained(before, after, seen, renamed)


def _blocks(before: Snapshot, after: Snapshot) -> Iterator[Seen]:
    refused = {c.name: c.error for c in predict(before, after).checks if c.error is not None}
    changes = [c for c in block_changes(before.layout.blocks, after.layout.blocks) if c.place]
    lengths = {c.place for c in changes if c.kind == "block-used-length-changed"}
    follows = any(c.kind in ("block-added", "block-removed", "block-max-length-changed") for c in changes)
    for change in changes:
        rule = _BLOCK_RULES.get(change.kind)
        resizeable = after.resizeable(change.place)
        if rule == "ramblock-used-length-changed" and resizeable and change.place not in refused:
            rule = "ramblock-resizeable-length-changed"
        elif rule == "ramblock-max-length-changed" and change.place in lengths and not resizeable:
            continue  # a block that cannot be resized has one length
        if rule is None or (follows and rule in ("ramblock-offset-changed", "ramblock-order-changed")):
            continue
        error = refused.get(change.place)
        consequence = None if error is None else f"an incoming migration is refused: {error}"
        yield Seen(
            rule, change.place, change.what, _line(change.left), _line(change.right),
            tuple(name.rpartition("/")[2] for name in _QUOTED.findall(change.what)), consequence,
        )  # fmt: skip


_BLOCK_RULES = {
    "block-removed": "ramblock-removed",
    "block-added": "ramblock-added",
    "block-renamed": "ramblock-renamed",
    "block-used-length-changed": "ramblock-used-length-changed",
    "block-max-length-changed": "ramblock-max-length-changed",
    "block-page-size-changed": "ramblock-page-size-changed",
    "block-offset-changed": "ramblock-offset-changed",
    "block-order-changed": "ramblock-order-changed",
}


def _line(line: str | None) -> str | None:
    return None if line is None else " ".join(line.split())


def _ram(before: Snapshot, after: Snapshot) -> Iterator[Seen]:
    old, new = main_ram(before), main_ram(after)
    starts = [min((r.start for r in ranges if r.start >= FOUR_GIB), default=None) for ranges in (old, new)]
    delta = 0
    if starts[0] is not None and starts[1] is not None and starts[0] != starts[1]:
        delta = starts[1] - starts[0]
        name = next(r.name for r in new if r.start == starts[1])
        what = f"RAM above 4 GiB begins at {hex_plain(starts[1])} instead of {hex_plain(starts[0])}"
        values = hex_plain(starts[0]), hex_plain(starts[1])
        yield Seen("above-4g-start-moved", "above 4 GiB", what, *values, (name,))
    for name in dict.fromkeys(r.name for r in new):
        sides = [[r for r in ranges if r.name == name] for ranges in (old, new)]
        edges = sorted({e for s in sides for r in s for e in (r.offset, r.offset + r.last - r.start + 1)})
        for low, _ in pairwise(edges):
            places = [
                sorted(r.start + low - r.offset for r in s if r.offset <= low <= r.offset + r.last - r.start)
                for s in sides
            ]
            if not places[0] or not places[1] or places[0] == places[1]:
                continue
            if delta and places[1] == [p + delta if p >= FOUR_GIB else p for p in places[0]]:
                continue
            texts = [" and ".join(hex_plain(p) for p in place) for place in places]
            what = f"'{name}' from offset {hex_plain(low)} is at {texts[1]} instead of {texts[0]}"
            yield Seen("ram-moved", name, what, texts[0], texts[1])
            break


def _memory_devices(before: Snapshot, after: Snapshot) -> Iterator[Seen]:
    old, new = ({str(d.get("id") or d.get("memdev")): d for d in side.devices} for side in (before, after))
    for name in (*old, *(name for name in new if name not in old)):
        a, b = old.get(name), new.get(name)
        memory = tuple(str(d.get("memdev", "")).rpartition("/")[2] for d in (a, b) if d)
        if b is None or a is None:
            rule, verb = ("memory-device-removed", "went") if b is None else ("memory-device-added", "is new")
            yield Seen(rule, name, f"memory device '{name}' {verb}", names=memory)
            continue
        for key in ("addr", "memaddr"):
            if a.get(key) != b.get(key) and key in a and key in b:
                what = f"memory device '{name}' is at {hex_plain(b[key])} instead of {hex_plain(a[key])}"
                yield Seen("device-memory-moved", name, what, hex_plain(a[key]), hex_plain(b[key]), memory)
        if b.get("size", 0) < a.get("size", 0):
            what = f"memory device '{name}' has {hex_plain(b['size'])} bytes instead of {hex_plain(a['size'])}"
            yield Seen("device-memory-shrunk", name, what, hex_plain(a["size"]), hex_plain(b["size"]), memory)


def _regions(before: Snapshot, after: Snapshot, renamed: set[str]) -> Iterator[Seen]:
    told: set[tuple[str, str, str]] = set()
    for change in tree_changes(before.layout.tree, after.layout.tree):
        if change.kind == "region-renamed":
            renamed.update(name for line in (change.left, change.right) if line and (name := _named(line)))
        if not change.place.startswith(_PLACES):
            continue
        found = _region(change)
        if found is not None and (found.rule, found.object, found.what) not in told:
            told.add((found.rule, found.object, found.what))
            yield found


def _named(line: str) -> str | None:
    match = _ROW.search(line)
    return None if match is None else match["name"].partition(" owner:")[0].partition(" parent:")[0].partition(" [")[0]


def _region(change: Change) -> Seen | None:
    rows = [_ROW.search(line) for line in (change.left, change.right) if line]
    types = {row["type"] for row in rows if row}
    alias = any(row["alias"] for row in rows if row)
    name = next(iter(_QUOTED.findall(change.what)), "")
    registers = bool(types & set(_REGISTERS)) and not alias
    rule = None
    if name == _DEVICE_MEMORY:
        sizes = _SIZES.search(change.what)
        if change.kind == "region-moved":
            rule = "device-memory-moved"
        elif change.kind == "region-resized" and sizes and int(sizes[2], 16) < int(sizes[1], 16):
            rule = "device-memory-shrunk"
    elif change.kind == "region-priority-changed":
        rule = "region-priority-changed"
    elif change.kind == "region-type-changed":
        rule = None if alias else "region-type-changed"
    elif registers:
        rule = _REGION_RULES.get(change.kind)
    if rule is None:
        return None
    return Seen(rule, name, change.what, _line(change.left), _line(change.right), (name,))


_REGION_RULES = {
    "region-moved": "mmio-moved",
    "region-resized": "mmio-resized",
    "region-removed": "mmio-removed",
    "region-added": "mmio-added",
}


def _unexplained(before: Snapshot, after: Snapshot, seen: list[Seen], renamed: set[str]) -> Iterator[Seen]:
    """Addresses where something else is visible, for which no rule has an explanation yet."""
    names = renamed | {found.object for found in seen} | {name for found in seen for name in found.names}
    for space in SPACES:
        views = view_of(before, space), view_of(after, space)
        if views[0] is None or views[1] is None:
            continue
        sides = [FlatRow((replace(view, spaces=(SpaceRow(space, ""),)),)) for view in views if view]
        for change in flat_changes(*sides):
            if change.kind not in ("range-added", "range-removed", "range-changed"):
                continue
            visible = _QUOTED.findall(change.what)
            if not names & set(visible):
                what = f"{space}: {change.what}"
                yield Seen("view-changed", visible[0], what, _line(change.left), _line(change.right))
