"""Both sides of each section as HTML of equal height, with the places of differences.

Flat views and RAM blocks are maps: every border of either side starts a row of a grid, so that equal
addresses stand at equal heights; the height of a row grows with the logarithm of its size. Trees are
lists in which equal regions stand next to each other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from html import escape
from itertools import pairwise
from typing import cast

from qshim.layout.compare import Change
from qshim.reports.html.pair import Section
from qshim.rows import BlockRow, RangeRow, RegionRow
from qshim.units import hex16, size_text
from qshim.views.flatview import range_line
from qshim.views.mtree import region_line
from qshim.views.ramblock import block_line

__all__ = ["Drawn", "draw"]

_LINE = 20
"""Height of a row of text, in CSS pixels."""
_TALLEST = 60


@dataclass(frozen=True, slots=True)
class Drawn:
    """The HTML of both panes and, for each change by its number, where it is."""

    sides: tuple[list[str], list[str]]
    places: list[list[str]]
    """Ids of elements: the first one of each side is where the difference is gone to."""
    spaces: list[list[str]]
    """Address spaces whose sections show it; empty: any."""
    views: list[list[str]]


@dataclass(slots=True)
class _Item:
    """A row of one side before it is HTML."""

    line: str
    """As compared: without indentation."""
    section: int
    side: int
    id: str
    twin: str | None
    """The line of what stands next to it on the other side."""


def draw(sections: Sequence[Section], changes: Sequence[Change]) -> Drawn:
    """Draw *sections*, marking what *changes* name."""
    items = [item for number, section in enumerate(sections) for item in _items(number, section)]
    index: dict[str, list[_Item]] = defaultdict(list)
    for item in items:
        index[item.line].append(item)
    marks: dict[str, list[int]] = defaultdict(list)
    places, spaces, views = [], [], []
    for number, change in enumerate(changes):
        found = [item for side in (0, 1) for item in _found(change, side, index, sections)]
        for item in found:
            marks[item.id].append(number)
        first = [next((item.id for item in found if item.side == side), "") for side in (0, 1)]
        places.append([*(i for i in first if i), *(item.id for item in found if item.id not in first)])
        named = [space for item in found for space in sections[item.section].spaces]
        anywhere = any(not sections[item.section].spaces for item in found)
        spaces.append([] if anywhere else list(dict.fromkeys(named)))
        views.append(list(dict.fromkeys(sections[item.section].view for item in found)))
    sides: tuple[list[str], list[str]] = ([], [])
    for number, section in enumerate(sections):
        for side in (0, 1):
            sides[side].extend(_section(number, section, side, marks))
    return Drawn(sides, places, spaces, views)


def _found(change: Change, side: int, index: dict[str, list[_Item]], sections: Sequence[Section]) -> list[_Item]:
    """The rows of one side that *change* is about, those at its place first."""
    line = (change.left, change.right)[side]
    if change.kind == "container-word":
        return [i for same in index.values() for i in same if i.side == side and i.twin is not None and (
            {_word(i.line), _word(i.twin)} == {"container", "i/o"})]  # fmt: skip
    place = change.place.rpartition("): ")[2]
    if line is None:
        # about a view or a space as a whole: its heading
        heads = (f"address-space: {place}", place) if change.left is None and change.right is None else ()
        views = [item for n, s in enumerate(sections) if s.view == "flat" and place.strip("'") in s.spaces
                 for item in index[f"flat {n}"]] if heads else []  # fmt: skip
        return [item for item in (*views, *(i for head in heads for i in index[head])) if item.side == side]
    found = [item for item in index[line.strip()] if item.side == side]
    top = place.partition("/")[0]
    here = [item for item in found if _stands_in(sections[item.section], top)] or found
    if not here and change.kind.startswith(("view-", "dispatch-")):
        here = [i for n, s in enumerate(sections) if s.view == "flat" and place in s.spaces
                for i in index[f"flat {n}"] if i.side == side]  # fmt: skip
    changed = [item for item in here if item.twin != item.line] or here[:1]
    far = [item for item in found if item not in here and item.twin != item.line]
    return [*changed, *far]


def _word(line: str) -> str:
    return line.partition("): ")[0].rpartition(", ")[2]


def _stands_in(section: Section, place: str) -> bool:
    if place.startswith(("address-space: ", "memory-region: ")):
        return any(place in half.heads for half in section.halves)
    return place in section.spaces or section.view == "ram"


def _items(number: int, section: Section) -> Iterator[_Item]:
    for side, half in enumerate(section.halves):
        other = section.halves[1 - side]
        for at, head in enumerate(half.heads):
            twin = head if head in other.heads else None
            yield _Item(head, number, side, f"h{number}-{side}-{at}", twin)
        if section.view == "flat":
            yield _Item(f"flat {number}", number, side, f"s{number}-{side}", None)
    if section.view == "tree":
        for at, row_pair in enumerate(_aligned(section)):
            lines = [None if row is None else _tree_line(row) for row in row_pair]
            for side, line in enumerate(lines):
                if line is not None:
                    yield _Item(line, number, side, f"r{number}-{side}-{at}", lines[1 - side])
        return
    texts = [[_line(row) for row in half.rows] for half in section.halves]
    for side, mine in enumerate(texts):
        others = set(texts[1 - side])
        for at, text in enumerate(mine):
            yield _Item(text, number, side, f"r{number}-{side}-{at}", text if text in others else None)


def _tree_line(row: RegionRow) -> str:
    return region_line(replace(row, level=0), True).strip()


def _line(row: RegionRow | RangeRow | BlockRow) -> str:
    if isinstance(row, BlockRow):
        # host addresses differ each time
        return block_line(row).strip()
    return (range_line(row, True) if isinstance(row, RangeRow) else _tree_line(row)).strip()


def _aligned(section: Section) -> list[tuple[RegionRow | None, RegionRow | None]]:
    """The rows of a tree, equal ones next to each other."""
    left, right = (list(cast(Sequence[RegionRow], half.rows)) for half in section.halves)
    keys = [[(row.level, row.name, row.alias is None) for row in rows] for rows in (left, right)]
    result: list[tuple[RegionRow | None, RegionRow | None]] = []
    for _, a, b, c, d in SequenceMatcher(None, keys[0], keys[1], autojunk=False).get_opcodes():
        for at in range(max(b - a, d - c)):
            result.append((left[a + at] if a + at < b else None, right[c + at] if c + at < d else None))
    return result


def _section(number: int, section: Section, side: int, marks: dict[str, list[int]]) -> Iterator[str]:
    half = section.halves[side]
    alike = bool(section.halves[0].heads) == bool(section.halves[1].heads)
    marked = any(name.startswith((f"s{number}-", f"h{number}-")) for name in marks)
    tall = max(len(h.heads) for h in section.halves)
    body, quiet = _tree(number, section, side, marks) if section.view == "tree" else _map(number, section, side, marks)
    quiet = quiet and alike and not marked
    spaces = escape("\n".join(section.spaces))
    yield f'<section class="part{" q" if quiet else ""}" data-view="{section.view}" data-spaces="{spaces}">'
    name, title = f"s{number}-{side}", escape(section.title)
    yield f'<h3{_id(name, marks.get(name, ()))} title="{title}">{title}</h3>'
    for at in range(tall):
        if at < len(half.heads):
            name = f"h{number}-{side}-{at}"
            yield f'<div class="head"{_id(name, marks.get(name, ()))}>{escape(half.heads[at])}</div>'
        else:
            yield f'<div class="head">{"" if half.heads or at else "not there"}</div>'
    yield from body
    yield "</section>"


def _id(name: str, numbers: Sequence[int]) -> str:
    """Attributes of a row: where nothing differs, none but the id."""
    if not numbers:
        return f' id="{name}"'
    return f' id="{name}" data-c="{" ".join(map(str, numbers))}" tabindex="0" role="button"'


def _tree(number: int, section: Section, side: int, marks: dict[str, list[int]]) -> tuple[list[str], bool]:
    rows = _aligned(section)
    loud = [any(marks.get(f"r{number}-{s}-{at}") for s in (0, 1)) for at in range(len(rows))]
    shown = list(loud)
    # what is above a difference stays in sight with it
    for at, is_loud in enumerate(loud):
        if is_loud:
            level = min(row.level for row in rows[at] if row is not None)
            for up in range(at - 1, -1, -1):
                above = min(row.level for row in rows[up] if row is not None)
                if above < level:
                    shown[up], level = True, above
    lines = ['<div class="tree">']
    for at, row_pair in enumerate(rows):
        row = row_pair[side]
        quiet = "" if shown[at] else " q"
        if row is None:
            lines.append(f'<div class="row none{quiet}"></div>')
            continue
        name = f"r{number}-{side}-{at}"
        numbers = marks.get(name, ())
        kind = _kind(row.type)
        off = " off" if row.disabled else ""
        text = escape(_tree_line(row))
        lines.append(
            f'<div class="row {kind}{off}{quiet}"{_id(name, numbers)} title="{text}" '
            f'style="--level:{row.level - 1}">{text}</div>'
        )
    return [*lines, "</div>"], not any(shown)


def _kind(word: str) -> str:
    return {"i/o": "io", "container": "io"}.get(word, word)


def _span(row: RangeRow | BlockRow) -> tuple[int, int]:
    """Start and end, exclusive."""
    if isinstance(row, BlockRow):
        return row.offset, row.offset + max(row.max_length, 1)
    return row.start, row.last + 1


def _map(number: int, section: Section, side: int, marks: dict[str, list[int]]) -> tuple[list[str], bool]:
    halves = [cast("Sequence[RangeRow | BlockRow]", half.rows) for half in section.halves]
    edges = sorted({edge for rows in halves for row in rows for edge in _span(row)})
    line = {edge: at + 1 for at, edge in enumerate(edges)}
    loud: set[int] = set()
    for s, rows in enumerate(halves):
        for at, row in enumerate(rows):
            if marks.get(f"r{number}-{s}-{at}"):
                start, end = _span(row)
                loud.update(range(line[start], line[end]))
    heights = [_height(high - low) for low, high in pairwise(edges)]
    full = " ".join(f"{height}px" for height in heights)
    short = " ".join(f"{height if at + 1 in loud else 0}px" for at, height in enumerate(heights))
    if edges and not halves[side]:
        return [f'<div class="map" style="--full:{full};--short:{short}"></div>'], not loud
    lines = [f'<div class="map" style="--full:{full or "none"};--short:{short or "none"}">']
    at_end = edges[0] if edges else 0
    for at, row in enumerate(halves[side]):
        start, end = _span(row)
        if start > at_end:
            lines.append(_gap(at_end, start, line, loud))
        at_end = end
        lines.append(_block(f"r{number}-{side}-{at}", row, line, loud, marks.get(f"r{number}-{side}-{at}", ())))
    if edges and at_end < edges[-1] and halves[side]:
        lines.append(_gap(at_end, edges[-1], line, loud))
    return [*lines, "</div>"], not loud


def _height(size: int) -> int:
    return min(_TALLEST, _LINE + max(0, size.bit_length() - 13))


def _quiet(first: int, last: int, loud: set[int]) -> str:
    return "" if loud.intersection(range(first, last)) else " q"


def _gap(start: int, end: int, line: dict[int, int], loud: set[int]) -> str:
    quiet = _quiet(line[start], line[end], loud)
    size = size_text(end - start)
    return f'<div class="gap{quiet}" style="grid-row:{line[start]}/{line[end]}">nothing, {size}</div>'


def _block(
    name: str, row: RangeRow | BlockRow, line: dict[int, int], loud: set[int], numbers: Sequence[int]
) -> str:
    start, end = _span(row)
    quiet = _quiet(line[start], line[end], loud)
    size = size_text(end - start)
    if isinstance(row, BlockRow):
        kind, label, word = "ram", row.name or "(no name)", ""
        if row.used_length != row.max_length:
            size = f"{size_text(row.used_length)} of {size}"
        fill = f";--used:{100 * row.used_length / max(row.max_length, 1):.1f}%"
    else:
        kind, label, fill = _kind(row.type), row.name, ""
        word = f"<i>{escape('nv-' if row.nonvolatile else '')}{escape(row.type)}</i> "
    place = f"grid-row:{line[start]}/{line[end]}{fill}"
    return (
        f'<div class="block {kind}{quiet}"{_id(name, numbers)} style="{place}" title="{escape(_line(row))}">'
        f"<code>{hex16(start)}</code> {word}<b>{escape(label)}</b> <small>{size}</small></div>"
    )
