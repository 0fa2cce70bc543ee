"""Rule 1: one tree out of `info mtree -D` and `info mtree -o`, where nobody recorded `-o -D`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from qshim.recording.infer.nodes import Node, contradiction
from qshim.rows import RegionRow, TreeRow

__all__ = ["with_owners"]


def with_owners(disabled: TreeRow, owners: TreeRow) -> TreeRow:
    """*disabled* (made with -D) with the owners of *owners* (made with -o in the same process).

    Disabled regions stay without owner, so the result does not count as made with -o throughout.

    :raises RecordingError: the texts do not go together line by line.
    """
    if len(disabled.groups) != len(owners.groups) or len(disabled.targets) != len(owners.targets):
        contradiction("'info mtree -D' and 'info mtree -o' have different trees")
    groups = [
        replace(one, regions=_lined_up(one.regions, other.regions))
        for one, other in zip(disabled.groups, owners.groups, strict=True)
    ]
    targets = [
        replace(one, regions=_lined_up(one.regions, other.regions))
        for one, other in zip(disabled.targets, owners.targets, strict=True)
    ]
    return TreeRow(tuple(groups), tuple(targets), owners=True, disabled=True)


def _lined_up(rows: Sequence[RegionRow], owned: Sequence[RegionRow]) -> tuple[RegionRow, ...]:
    left = iter(owned)
    result = []
    for row in rows:
        if row.disabled:
            result.append(row)
            continue
        other = next(left, None)
        if other is None or replace(other, owner=None, parent=None, overflow=row.overflow) != row:
            contradiction("'info mtree -o' has no such line where it should stand", Node(row, 0))
        result.append(replace(row, owner=other.owner, parent=other.parent))
    extra = next(left, None)
    if extra is not None:
        contradiction("'info mtree -D' has no such line", Node(extra, 0))
    return tuple(result)
