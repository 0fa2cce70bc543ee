"""What one line of a memory view says, as frozen values.

The views make these rows from a live machine and print them; the recording parser makes the same
rows from QEMU's text. Both meet here, below either of them, so that `parse(text(rows)) == rows` is
a law that a test can check, and so that JSON, comparison and text have one source.

Addresses are as printed: unsigned 64-bit, `last` inclusive (a size of 0 prints `last == start`).
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "AliasRow", "BlockRow", "DispatchRow", "EntryRow", "FlatRow", "FlatViewRow", "GroupRow", "OwnerRow",
    "RangeRow", "RegionRow", "SectionRow", "SpaceRow", "TargetRow", "TreeRow",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class OwnerRow:
    """`{dev id=ID}`, `{obj path=/objects/m0}`, `{obj type=TYPENAME}`."""

    is_device: bool
    key: str
    """One of `id`, `path`, `type`."""
    value: str


@dataclass(frozen=True, slots=True)
class AliasRow:
    """The part of an alias line behind its name: `@TARGET START-LAST`."""

    target: str
    start: int
    last: int


@dataclass(frozen=True, slots=True)
class RegionRow:
    """One region of `info mtree`."""

    level: int
    """Depth, 1 for a root; printed as two blanks each."""
    start: int
    last: int
    priority: int
    type: str
    """`i/o`, `container` (11.1), `ram`, `rom`, `romd`, `ramd`; without the `nv-` prefix."""
    nonvolatile: bool
    name: str
    disabled: bool = False
    alias: AliasRow | None = None
    owner: OwnerRow | None = None
    parent: OwnerRow | None = None
    overflow: bool = False
    """`[DETECTED OVERFLOW!]` stood in front of the line."""


@dataclass(frozen=True, slots=True)
class GroupRow:
    """The address spaces that share one root, and that root's tree (empty: root disabled and hidden)."""

    spaces: tuple[str, ...]
    regions: tuple[RegionRow, ...]


@dataclass(frozen=True, slots=True)
class TargetRow:
    """A `memory-region: NAME` section: the target of some alias, drawn on its own."""

    name: str
    regions: tuple[RegionRow, ...]


@dataclass(frozen=True, slots=True)
class TreeRow:
    """A whole `info mtree`. *owners*: made with -o; *disabled*: made with -D."""

    groups: tuple[GroupRow, ...]
    targets: tuple[TargetRow, ...]
    owners: bool = False
    disabled: bool = False


@dataclass(frozen=True, slots=True)
class RangeRow:
    """One range of a flat view."""

    start: int
    last: int
    priority: int
    type: str
    nonvolatile: bool
    name: str
    offset: int = 0
    """Offset in the region of the range's first byte."""
    owner: OwnerRow | None = None
    parent: OwnerRow | None = None
    accelerators: tuple[str, ...] = ()
    """`("KVM",)` where a KVM memory slot matches the range."""


@dataclass(frozen=True, slots=True)
class SpaceRow:
    """` AS "NAME", root: ROOT[, alias TARGET]`."""

    name: str
    root: str
    alias: str | None = None


@dataclass(frozen=True, slots=True)
class SectionRow:
    """One physical section of a dispatch."""

    start: int
    last: int
    name: str | None
    """None prints as `(noname)`: the unassigned section and sub-pages."""
    root: bool = False
    mru: bool = False
    iommu: bool = False
    alias: str | None = None


@dataclass(frozen=True, slots=True)
class EntryRow:
    """A run of equal entries of a dispatch node: *first* to *last* inclusive."""

    first: int
    last: int
    skip: int
    ptr: int | None
    """None is NIL; with skip 0 the index of a section, else of a node."""


@dataclass(frozen=True, slots=True)
class DispatchRow:
    """The `Dispatch` part of a flat view (spec/memory.md 4.5)."""

    sections: tuple[SectionRow, ...]
    nodes: tuple[tuple[EntryRow, ...], ...]
    levels: int
    ptr: int
    """Root entry's pointer; 0x3ffffff (67108863) when nothing is mapped."""
    skip: int


@dataclass(frozen=True, slots=True)
class FlatViewRow:
    """One `FlatView #N` block. *root* None is `(none)`; no ranges prints `No rendered FlatView`."""

    spaces: tuple[SpaceRow, ...]
    root: str | None
    ranges: tuple[RangeRow, ...]
    dispatch: DispatchRow | None = None


@dataclass(frozen=True, slots=True)
class FlatRow:
    """A whole `info mtree -f`; views are numbered by their place."""

    views: tuple[FlatViewRow, ...]
    owners: bool = False
    dispatch: bool = False


@dataclass(frozen=True, slots=True)
class BlockRow:
    """One line of `info ramblock`."""

    name: str
    """The idstr; empty for a block that nobody registered for migration."""
    page_size: int
    offset: int
    used_length: int
    max_length: int
    host: int | None = None
    """HVA; None in the dialect of 7.2, which has no such column."""
    readonly: bool | None = None
