"""`info mtree`: the region tree of each address space (spec/memory.md 6.3 to 6.6)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from qshim.memory import MemoryRegion
from qshim.rows import AliasRow, GroupRow, RegionRow, TargetRow, TreeRow
from qshim.units import U64_MAX, last_of, span
from qshim.versions import Quirks
from qshim.views.viewed import Viewed, owner_rows, owner_text, type_word

__all__ = ["region_line", "tree", "tree_lines", "tree_text"]


def tree(vm: Viewed, *, owner: bool = False, disabled: bool = False) -> TreeRow:
    """The rows of `info mtree`; *owner* as with -o, *disabled* as with -D.

    QEMU prints the groups in the order of a hash table over addresses; here they come in the order
    in which their first address space was registered.
    """
    walk = _Walk(vm.quirks, owner, disabled)
    by_root: dict[MemoryRegion, list[str]] = {}
    for space in vm.topology.spaces:
        by_root.setdefault(space.root, []).append(space.name)
    groups = tuple(
        GroupRow(tuple(sorted(names, key=str.encode)), tuple(walk.regions(root))) for root, names in by_root.items()
    )
    targets = []
    # printing a target may queue further ones behind it
    for target in walk.queue:
        targets.append(TargetRow(_name(target), tuple(walk.regions(target))))
    return TreeRow(groups, tuple(targets), owners=owner, disabled=disabled)


class _Walk:
    """One `info mtree`: what is printed, and the alias targets met on the way, each once."""

    def __init__(self, quirks: Quirks, owner: bool, disabled: bool) -> None:
        self.quirks = quirks
        self.owner = owner
        self.disabled = disabled
        self.queue: list[MemoryRegion] = []
        self._queued: set[MemoryRegion] = set()

    def regions(self, root: MemoryRegion) -> Iterator[RegionRow]:
        """Rows of *root* and everything below it; not recursive, so that no depth is too much."""
        stack = [(root, 1, 0)]
        while stack:
            region, level, base = stack.pop()
            start = base + region.addr & U64_MAX
            last = last_of(start, region.size)
            target = region.alias
            if target is not None and target not in self._queued:
                self._queued.add(target)
                self.queue.append(target)
            # the warning is printed even for a region whose line is not
            overflow = start < base or last < start
            if region.enabled or self.disabled:
                yield self._row(region, level, start, last, overflow)
            elif overflow:
                yield RegionRow(0, 0, 0, 0, "", False, "", overflow=True)
            if target is None:
                stack += [(child, level + 1, start) for child in reversed(_displayed(region))]

    def _row(self, region: MemoryRegion, level: int, start: int, last: int, overflow: bool) -> RegionRow:
        owner, parent = owner_rows(region) if self.owner else (None, None)
        alias = None
        if region.alias is not None:
            offset = region.alias_offset
            alias = AliasRow(_name(region.alias), offset, last_of(offset, region.size))
        return RegionRow(
            level,
            start,
            last,
            region.priority,
            type_word(region, self.quirks),
            region.nonvolatile,
            _name(region),
            disabled=not region.enabled,
            alias=alias,
            owner=owner,
            parent=parent,
            overflow=overflow,
        )


def _name(region: MemoryRegion) -> str:
    return "" if region.name is None else region.name


def _displayed(region: MemoryRegion) -> list[MemoryRegion]:
    """Children by address, then descending priority, then newest first."""
    return sorted(region.subregions, key=_display_key)


def _display_key(region: MemoryRegion) -> tuple[int, int]:
    return region.addr, -region.priority


def tree_text(rows: TreeRow) -> str:
    """The text of `info mtree`, lines ended by a newline."""
    return "".join(tree_lines(rows))


def tree_lines(rows: TreeRow) -> Iterator[str]:
    """The lines of `info mtree`, each with its newline."""
    for group in rows.groups:
        for name in group.spaces:
            yield f"address-space: {name}\n"
        yield from _region_lines(group.regions, rows.owners)
        yield "\n"
    for target in rows.targets:
        yield f"memory-region: {target.name}\n"
        yield from _region_lines(target.regions, rows.owners)
        yield "\n"


def _region_lines(regions: Iterable[RegionRow], owners: bool) -> Iterator[str]:
    for row in regions:
        # a hidden region leaves its warning behind, without a line of its own
        yield f"{region_line(row, owners)}\n" if row.level else "[DETECTED OVERFLOW!] "


def region_line(row: RegionRow, owners: bool) -> str:
    """One line of `info mtree`, without its newline."""
    word = f"nv-{row.type}" if row.nonvolatile else row.type
    name = row.name
    if row.alias is not None:
        name = f"alias {row.name} @{row.alias.target} {span(row.alias.start, row.alias.last)}"
    return (
        f"{'[DETECTED OVERFLOW!] ' if row.overflow else ''}{'  ' * row.level}{span(row.start, row.last)} "
        f"(prio {row.priority}, {word}): {name}{' [disabled]' if row.disabled else ''}"
        f"{owner_text(row.owner, row.parent) if owners else ''}"
    )
