"""Changes of `info mtree`: address spaces, regions, aliases."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from qshim.layout.compare.change import Change, matched
from qshim.rows import RegionRow, TreeRow
from qshim.units import hex_plain
from qshim.views.mtree import region_line

__all__ = ["tree_changes"]


@dataclass(frozen=True, slots=True, eq=False)
class _Node:
    row: RegionRow
    offset: int
    """In the parent, modulo 2^64; for a root its start."""
    index: int
    """Place among the siblings as printed: of equal address and priority the first one wins."""
    children: tuple[_Node, ...]

    def key(self) -> Hashable:
        """Everything that the lines of this region and those below it say, relative to the parent."""
        return (self.offset, self.plain(), tuple(child.key() for child in self.children))

    def plain(self) -> RegionRow:
        """The row without its place."""
        return replace(self.row, level=0, start=0, last=self.size)

    @property
    def size(self) -> int:
        """Size - 1 as printed; 0 for sizes 0 and 1, which look alike."""
        return (self.row.last - self.row.start) % (1 << 64)

    def count(self) -> int:
        """Regions in this subtree."""
        return 1 + sum(child.count() for child in self.children)


@dataclass(slots=True)
class _Told:
    """What is said of all trees together when they have been walked."""

    words: list[str] = field(default_factory=list)
    """Types of roots that print another word."""
    pairs: list[tuple[str, _Node, _Node]] = field(default_factory=list)
    """Place and both sides of each region that both machines have."""

    def owner_changes(self) -> Iterator[Change]:
        """Regions of another object. Where every path has one other, of another number, the object is the same one."""
        there: dict[str, set[str]] = defaultdict(set)
        back: dict[str, set[str]] = defaultdict(set)
        for _, a, b in self.pairs:
            for old, new in ((a.row.owner, b.row.owner), (a.row.parent, b.row.parent)):
                if old is not None and new is not None:
                    there[old.value].add(new.value)
                    back[new.value].add(old.value)
        for here, a, b in self.pairs:
            both = ((a.row.owner, b.row.owner), (a.row.parent, b.row.parent))
            if all(old == new for old, new in both):
                continue
            renumbered = all(
                old == new
                or (
                    old is not None
                    and new is not None
                    and (old.is_device, old.key) == (new.is_device, new.key)
                    and len(there[old.value]) == len(back[new.value]) == 1
                    and _NUMBER.sub("[]", old.value) == _NUMBER.sub("[]", new.value)
                )
                for old, new in both
            )
            old_text, new_text = (_belongs(node.row) for node in (a, b))
            if renumbered:
                kind, what = "owner-renumbered", f"belongs to the object that is called {new_text}, not {old_text}"
            else:
                kind, what = "region-owner-changed", f"belongs to {new_text} instead of {old_text}"
            yield Change(kind, here, f"'{a.row.name}' {what}", _line(a), _line(b))


_NUMBER = re.compile(r"\[\d+\]")


def _belongs(row: RegionRow) -> str:
    """The owner for a sentence; without one the parent object."""
    owner = row.owner or row.parent
    if owner is None:
        return "nobody"
    text = owner.value if owner.key == "path" else f"{'a' if owner.key == 'type' else 'the device'} {owner.value}"
    if row.owner is not None and row.parent is not None and row.parent != row.owner:
        text += f" (below {row.parent.value})"
    return text


def _nodes(rows: Sequence[RegionRow], base: int = 0) -> tuple[_Node, ...]:
    """The forest that *rows* draw; children are what is deeper than the row before."""
    nodes: list[_Node] = []
    at = 0
    while at < len(rows):
        row, end = rows[at], at + 1
        while end < len(rows) and rows[end].level > row.level:
            end += 1
        nodes.append(_Node(row, (row.start - base) % (1 << 64), len(nodes), _nodes(rows[at + 1 : end], row.start)))
        at = end
    return tuple(nodes)


def tree_changes(left: TreeRow, right: TreeRow) -> Iterator[Change]:
    """Changes of address spaces, of the regions below their roots, and of what aliases show."""
    told = _Told()
    before, after = ([(g.spaces, _nodes(g.regions)) for g in side.groups] for side in (left, right))
    pairs, gone, come = matched(
        before,
        after,
        lambda g: (g[0], tuple(n.key() for n in g[1])),
        lambda g: g[0],
        lambda g: g[1][0].row.name if g[1] else None,
        lambda g: g[0][0],
    )
    lost, found = Counter(n for g in gone for n in g[0]), Counter(n for g in come for n in g[0])
    for (names, trees), (other_names, other_trees) in pairs:
        old, new = Counter(names) - Counter(other_names), Counter(other_names) - Counter(names)
        if old.total() == new.total() and trees and other_trees and trees[0].row.name == other_trees[0].row.name:
            for name, other in zip(old.elements(), new.elements(), strict=True):
                what = f"address space '{name}' (root '{trees[0].row.name}') is called '{other}'"
                yield Change("space-renamed", name, what, f"address-space: {name}", f"address-space: {other}")
        else:
            lost += old
            found += new
        yield from _forest(f"address-space: {'memory' if 'memory' in names else names[0]}", trees, other_trees, told)
    for name in sorted(lost | found):
        root, other = _root_of(name, before), _root_of(name, after)
        line = f"address-space: {name}"
        changed = min(lost[name], found[name])
        for _ in range(changed):
            what = f"address space '{name}' has the root '{other}' instead of '{root}'"
            yield Change("space-root-changed", name, what, line, line)
        for _ in range(lost[name] - changed):
            yield Change("space-removed", name, f"address space '{name}' (root '{root}') went", line, None)
        for _ in range(found[name] - changed):
            yield Change("space-added", name, f"address space '{name}' (root '{other}') is new", None, line)
    yield from _targets(left, right, told)
    yield from told.owner_changes()
    if told.words:
        what = f"{len(told.words)} regions without a parent print `{told.words[0]}`"
        yield Change("container-word", "every tree", what, None, None)


def _root_of(space: str, groups: Sequence[tuple[tuple[str, ...], tuple[_Node, ...]]]) -> str:
    return next((trees[0].row.name if trees else "" for names, trees in groups if space in names), "")


def _targets(left: TreeRow, right: TreeRow, told: _Told) -> Iterator[Change]:
    before, after = ([(t.name, _nodes(t.regions)) for t in side.targets] for side in (left, right))
    pairs, gone, come = matched(before, after, lambda t: (t[0], tuple(n.key() for n in t[1])), lambda t: t[0])
    for (name, trees), (_, other_trees) in pairs:
        yield from _forest(f"memory-region: {name}", trees, other_trees, told)
    for kind, verb, sections in (("region-removed", "went", gone), ("region-added", "is new", come)):
        for name, _ in sections:
            line = f"memory-region: {name}"
            sides = (line, None) if kind == "region-removed" else (None, line)
            yield Change(kind, line, f"'{name}', which an alias shows, {verb}", *sides)


def _forest(
    place: str, left: Sequence[_Node], right: Sequence[_Node], told: _Told
) -> Iterator[Change]:
    """Changes among siblings and below them."""
    pairs, gone, come = matched(
        left,
        right,
        _Node.key,
        lambda n: (n.offset, n.plain()),
        lambda n: (n.row.name, n.row.owner, n.offset),
        lambda n: (n.row.name, n.offset, n.size),
        lambda n: (n.row.name, n.row.owner, n.size),
        lambda n: (n.row.name, n.row.owner),
        lambda n: (n.row.name, n.offset),
        lambda n: n.row.name,
        lambda n: (n.offset, n.size, n.row.type, n.row.alias is None),
    )
    for a, b in pairs:
        yield from _pair(place, a, b, told)
        if a.children or b.children:
            yield from _forest(f"{place}/{a.row.name}", a.children, b.children, told)
    for kind, verb, nodes in (("region-removed", "went", gone), ("region-added", "is new", come)):
        for node in nodes:
            below = f", with {node.count() - 1} regions below it" if node.children else ""
            line = _line(node)
            sides = (line, None) if kind == "region-removed" else (None, line)
            yield Change(kind, place, f"'{node.row.name}' at {hex_plain(node.row.start)} {verb}{below}", *sides)
    yield from _order(place, pairs)


def _line(node: _Node) -> str:
    return region_line(replace(node.row, level=0), True)


def _pair(place: str, a: _Node, b: _Node, told: _Told) -> Iterator[Change]:
    here = f"{place}/{a.row.name}"
    name = f"'{a.row.name}'"
    old_row, new_row = a.row, b.row

    def change(kind: str, what: str) -> Change:
        return Change(kind, here, what, _line(a), _line(b))

    if old_row.name != new_row.name:
        yield change("region-renamed", f"{name} is called '{new_row.name}'")
    if a.offset != b.offset:
        yield change("region-moved", f"{name} moved from {hex_plain(a.offset)} to {hex_plain(b.offset)}")
    if a.size != b.size:
        sizes = f"{hex_plain(a.size + 1)} to {hex_plain(b.size + 1)} bytes"
        yield change("region-resized", f"{name} changed its size from {sizes}")
    if old_row.type != new_row.type:
        if {old_row.type, new_row.type} == {"i/o", "container"}:
            told.words.append(f"{new_row.type}` instead of `{old_row.type}")
        else:
            yield change("region-type-changed", f"{name} is {new_row.type} instead of {old_row.type}")
    if old_row.priority != new_row.priority:
        yield change("region-priority-changed", f"{name} has priority {new_row.priority} instead of {old_row.priority}")
    if old_row.disabled != new_row.disabled:
        states = ("enabled", "disabled")
        what = f"{name} is {states[new_row.disabled]} instead of {states[old_row.disabled]}"
        yield change("region-enabled-changed", what)
    if old_row.nonvolatile != new_row.nonvolatile:
        yield change("region-nonvolatile-changed", f"{name} is {'' if new_row.nonvolatile else 'not '}non-volatile now")
    told.pairs.append((here, a, b))
    old, new = old_row.alias, new_row.alias
    if (old is None) != (new is None) or (old and new and old.target != new.target):
        shown = [f"'{alias.target}'" if alias else "no region" for alias in (old, new)]
        yield change("alias-target-changed", f"{name} shows {shown[1]} instead of {shown[0]}")
    elif old and new and old.start != new.start:
        yield change(
            "alias-offset-changed",
            f"{name} shows '{old.target}' from {hex_plain(new.start)} instead of {hex_plain(old.start)}",
        )


def _order(place: str, pairs: Sequence[tuple[_Node, _Node]]) -> Iterator[Change]:
    """Siblings that kept address and priority but not the order in which they win."""
    twins: dict[Hashable, list[tuple[_Node, _Node]]] = {}
    for a, b in pairs:
        if (a.offset, a.row.priority) == (b.offset, b.row.priority):
            twins.setdefault((a.offset, a.row.priority), []).append((a, b))
    for group in twins.values():
        before = sorted(group, key=lambda p: p[0].index)
        after = sorted(group, key=lambda p: p[1].index)
        if before != after:
            winner, loser = after[0][1].row, before[0][1].row
            what = f"at {hex_plain(winner.start)} '{winner.name}' comes before '{loser.name}' now"
            yield Change("region-order-changed", place, what, _line(before[0][0]), _line(after[0][1]))
