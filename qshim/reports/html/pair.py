"""Which part of the first machine stands next to which part of the second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qshim.layout.compare import Layout, views_by_space
from qshim.layout.compare.change import matched
from qshim.rows import BlockRow, FlatViewRow, RangeRow, RegionRow

__all__ = ["Half", "Section", "pair"]

Rows = Sequence[RegionRow] | Sequence[RangeRow] | Sequence[BlockRow]


@dataclass(frozen=True, slots=True)
class Half:
    """One side of a section."""

    heads: tuple[str, ...]
    """The lines in front of the rows, as QEMU prints them; empty where this side has no such part."""
    rows: Rows


@dataclass(frozen=True, slots=True)
class Section:
    """A region tree, a flat view or the list of RAM blocks, of both machines."""

    view: str
    """`tree`, `flat` or `ram`."""
    title: str
    spaces: tuple[str, ...]
    """Address spaces that show it on one side or the other."""
    halves: tuple[Half, Half]


_NONE = Half((), ())


def pair(left: Layout, right: Layout) -> list[Section]:
    """The sections of both machines: flat views, trees, what aliases show, RAM blocks."""
    return [*_flats(left, right), *_groups(left, right), *_targets(left, right), *_blocks(left, right)]


def _names(spaces: Sequence[str]) -> str:
    unique = list(dict.fromkeys(spaces))
    return ", ".join(unique[:3]) + (f" and {len(unique) - 3} more" if len(unique) > 3 else "")


def _flats(left: Layout, right: Layout) -> list[Section]:
    before, after = views_by_space(left.flat), views_by_space(right.flat)
    seen: dict[tuple[int, int], tuple[FlatViewRow | None, FlatViewRow | None, list[str]]] = {}
    for key in dict.fromkeys((*before, *after)):
        a, b = before.get(key), after.get(key)
        seen.setdefault((id(a), id(b)), (a, b, []))[2].append(key[0])
    # the CPU's own view of memory first: it is what most people look for
    ordered = sorted(seen.values(), key=lambda entry: "memory" not in entry[2])
    return [
        Section("flat", f"flat view of {_names(names)}", tuple(dict.fromkeys(names)), (_half(a), _half(b)))
        for a, b, names in ordered
    ]


def _half(view: FlatViewRow | None) -> Half:
    if view is None:
        return _NONE
    heads = [f'AS "{space.name}", root: {space.root}' for space in view.spaces]
    return Half((*heads, f"Root memory region: {view.root or '(none)'}"), view.ranges)


def _groups(left: Layout, right: Layout) -> list[Section]:
    pairs, gone, come = matched(
        left.tree.groups,
        right.tree.groups,
        lambda g: (g.spaces, len(g.regions)),
        lambda g: g.spaces,
        lambda g: g.regions[0].name if g.regions else None,
        lambda g: g.spaces[0],
    )
    halves = [*pairs, *((group, None) for group in gone), *((None, group) for group in come)]
    sections = []
    for a, b in halves:
        spaces = (*(a.spaces if a else ()), *(b.spaces if b else ()))
        sides = [Half(tuple(f"address-space: {s}" for s in g.spaces), g.regions) if g else _NONE for g in (a, b)]
        sections.append(
            Section("tree", f"tree of {_names(spaces)}", tuple(dict.fromkeys(spaces)), (sides[0], sides[1]))
        )
    return sorted(sections, key=lambda section: "memory" not in section.spaces)


def _targets(left: Layout, right: Layout) -> list[Section]:
    pairs, gone, come = matched(
        left.tree.targets, right.tree.targets, lambda t: (t.name, t.regions), lambda t: t.name
    )
    halves = [*pairs, *((target, None) for target in gone), *((None, target) for target in come)]
    sections = []
    for a, b in halves:
        some = a or b
        assert some is not None
        sides = [Half((f"memory-region: {t.name}",), t.regions) if t else _NONE for t in (a, b)]
        sections.append(Section("tree", f"tree of {some.name}, shown by aliases", (), (sides[0], sides[1])))
    return sections


def _blocks(left: Layout, right: Layout) -> list[Section]:
    by_offset = [tuple(sorted(side.blocks, key=lambda b: b.offset)) for side in (left, right)]
    if not any(by_offset):
        return []
    heads = ("info ramblock",)
    halves = Half(heads, by_offset[0]), Half(heads, by_offset[1])
    return [Section("ram", "RAM blocks by offset (ram_addr_t)", (), halves)]
