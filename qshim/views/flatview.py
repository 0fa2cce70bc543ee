"""`info mtree -f [-d]`: what is visible at each address (spec/memory.md 6.7, 4.5)."""

from __future__ import annotations

from collections.abc import Iterator

from qshim.memory import FlatRange, FlatView
from qshim.memory.dispatch import NIL, Dispatch
from qshim.rows import DispatchRow, EntryRow, FlatRow, FlatViewRow, RangeRow, SectionRow, SpaceRow
from qshim.units import hex16, last_of, span
from qshim.views.viewed import Viewed, owner_rows, owner_text, type_word

__all__ = ["dispatch_lines", "flat", "flat_lines", "flat_text", "range_line"]


def flat(vm: Viewed, *, owner: bool = False, dispatch: bool = False) -> FlatRow:
    """The rows of `info mtree -f`; *owner* as with -o, *dispatch* as with -d.

    QEMU prints the views in the order of a hash table over addresses; here they come in the order
    in which their first address space was registered.
    """
    views = []
    for view, spaces in vm.topology.views():
        ranges = []
        for r in view.ranges:
            accelerators: tuple[str, ...] = ()
            for space in spaces:
                accelerators += vm.accelerators(space, r)
            ranges.append(_range_row(vm, r, owner, accelerators))
        views.append(
            FlatViewRow(
                tuple(
                    SpaceRow(space.name, space.root.name or "", space.root.alias.name if space.root.alias else None)
                    for space in spaces
                ),
                None if view.root is None else view.root.name or "",
                tuple(ranges),
                _dispatch_row(view) if dispatch and view.root is not None and ranges else None,
            )
        )
    return FlatRow(tuple(views), owners=owner, dispatch=dispatch)


def _range_row(vm: Viewed, r: FlatRange, owner: bool, accelerators: tuple[str, ...]) -> RangeRow:
    region = r.region
    owner_row, parent_row = owner_rows(region) if owner else (None, None)
    return RangeRow(
        r.start,
        r.last,
        region.priority,
        "rom" if r.readonly else type_word(region, vm.quirks),
        r.nonvolatile,
        region.name or "",
        r.offset,
        owner_row,
        parent_row,
        accelerators,
    )


def _dispatch_row(view: FlatView) -> DispatchRow:
    dispatch = view.dispatch()
    last_found = None if view.last_lookup is None else dispatch.lookup(view.last_lookup)
    sections = []
    for section in dispatch.sections:
        region = section.region
        sections.append(
            SectionRow(
                section.start,
                last_of(section.start, section.size),
                None if region is None else region.name,
                root=region is not None and region is view.root,
                mru=section is last_found,
                iommu=region is not None and region.is_iommu,
                alias=region.alias.name if region is not None and region.alias is not None else None,
            )
        )
    skip, ptr = dispatch.root
    return DispatchRow(tuple(sections), _node_rows(dispatch), dispatch.levels, ptr, skip)


def _node_rows(dispatch: Dispatch) -> tuple[tuple[EntryRow, ...], ...]:
    rows = []
    for entries in dispatch.nodes:
        runs = []
        first = 0
        while first < len(entries):
            entry = entries[first]
            end = first + 1
            while end < len(entries) and entries[end] == entry:
                end += 1
            skip, ptr = entry
            runs.append(EntryRow(first, end - 1, skip, None if ptr == NIL else ptr))
            first = end
        rows.append(tuple(runs))
    return tuple(rows)


def flat_text(rows: FlatRow) -> str:
    """The text of `info mtree -f`, lines ended by a newline."""
    return "".join(flat_lines(rows))


def flat_lines(rows: FlatRow) -> Iterator[str]:
    """The lines of `info mtree -f`, each with its newline."""
    for number, view in enumerate(rows.views):
        yield f"FlatView #{number}\n"
        for space in view.spaces:
            alias = "" if space.alias is None else f", alias {space.alias}"
            yield f' AS "{space.name}", root: {space.root}{alias}\n'
        yield f" Root memory region: {'(none)' if view.root is None else view.root}\n"
        if not view.ranges:
            yield "  No rendered FlatView\n\n"
            continue
        for row in view.ranges:
            yield f"{range_line(row, rows.owners)}\n"
        if view.dispatch is not None:
            yield from dispatch_lines(view.dispatch)
        yield "\n"


def range_line(row: RangeRow, owners: bool) -> str:
    """One range of `info mtree -f`, without its newline."""
    word = f"nv-{row.type}" if row.nonvolatile else row.type
    return (
        f"  {span(row.start, row.last)} (prio {row.priority}, {word}): {row.name}"
        f"{f' @{hex16(row.offset)}' if row.offset else ''}"
        f"{owner_text(row.owner, row.parent) if owners else ''}"
        f"{''.join(f' {name}' for name in row.accelerators)}"
    )


_INDEX_TAGS = (" [unassigned]", " [not dirty]", " [ROM]", " [watch]")
"""Printed by number alone, whatever the section is (memory.md 4.5)."""


def dispatch_lines(row: DispatchRow) -> Iterator[str]:
    """The dispatch part of a view, each line with its newline."""
    yield "  Dispatch\n"
    yield "    Physical sections\n"
    for number, section in enumerate(row.sections):
        yield (
            f"      #{number} @{hex16(section.start)}..{hex16(section.last)} "
            f"{'(noname)' if section.name is None else section.name}"
            f"{_INDEX_TAGS[number] if number < len(_INDEX_TAGS) else ''}"
            f"{' [ROOT]' if section.root else ''}{' [MRU]' if section.mru else ''}"
            f"{' [iommu]' if section.iommu else ''}"
            f"{'' if section.alias is None else f' alias={section.alias}'}\n"
        )
    yield f"    Nodes (9 bits per level, {row.levels} levels) ptr=[{row.ptr}] skip={row.skip}\n"
    for number, entries in enumerate(row.nodes):
        yield f"      [{number}]\n"
        for entry in entries:
            place = f"{entry.first:3d}      " if entry.first == entry.last else f"{entry.first:3d}..{entry.last:<3d} "
            ptr = "NIL" if entry.ptr is None else f"[{entry.ptr}]" if entry.skip else f"#{entry.ptr}"
            yield f"\t{place} skip={entry.skip}  ptr={ptr}\n"
