"""What differs between two machines, as what it means: a region moved, a block resized, a view split.

Two machines are compared row by row (qshim/rows.py), which both a live machine and a captured text
give. Regions are matched first where everything is equal, then by name and owner, then by name, then
by place; so a region that moved is one that moved, not one that went and one that came. Positions
are relative to the parent: what moved with its parent did not move.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from qshim.errors import RecordingError
from qshim.layout.compare.change import CHANGES, Change
from qshim.layout.compare.flats import flat_changes, views_by_space
from qshim.layout.compare.ramblocks import block_changes
from qshim.layout.compare.trees import tree_changes
from qshim.recording.format import FLAT_COMMAND, RAMBLOCK_COMMAND, TREE_COMMAND, Recording
from qshim.recording.parse import parse_blocks, parse_flat, parse_tree
from qshim.rows import BlockRow, FlatRow, RegionRow, TreeRow
from qshim.views.flatview import flat
from qshim.views.mtree import tree
from qshim.views.ramblock import blocks
from qshim.views.viewed import Viewed

__all__ = ["CHANGES", "Change", "Layout", "compare", "views_by_space"]


@dataclass(frozen=True, slots=True)
class Layout:
    """The rows of one machine: the tree with -o -D, the views with -d -o, the RAM blocks."""

    tree: TreeRow
    flat: FlatRow
    blocks: tuple[BlockRow, ...]

    @classmethod
    def of(cls, vm: Viewed) -> Layout:
        """What a live machine shows now."""
        return cls(tree(vm, owner=True, disabled=True), flat(vm, owner=True, dispatch=True), blocks(vm))

    @classmethod
    def of_recording(cls, recording: Recording, *, dispatch: bool = True) -> Layout:
        """What the real QEMU printed, read but not rebuilt; *dispatch* False leaves out that part, the largest.

        :raises RecordingError: a text is missing or cannot be read.
        """
        texts = recording.hmp
        # a QEMU that hangs on -o was asked without it
        tree_command, flat_command = (
            next((c for c in (command, command.replace(" -o", "")) if c in texts), command)
            for command in (TREE_COMMAND, FLAT_COMMAND)
        )
        missing = [c for c in (tree_command, flat_command, RAMBLOCK_COMMAND) if c not in texts]
        if missing:
            raise RecordingError(f"the recording of {recording.label} lacks {', '.join(missing)}: record it again")
        return cls(
            parse_tree(texts[tree_command], disabled=True, name=tree_command),
            parse_flat(texts[flat_command], kvm=recording.kvm, dispatch=dispatch, name=flat_command),
            parse_blocks(texts[RAMBLOCK_COMMAND], name=RAMBLOCK_COMMAND),
        )

    @property
    def owners(self) -> bool:
        """Whether it says who owns what."""
        return self.tree.owners

    def without_owners(self) -> Layout:
        """The same without owners and parent objects."""

        def rows(regions: tuple[RegionRow, ...]) -> tuple[RegionRow, ...]:
            return tuple(replace(row, owner=None, parent=None) for row in regions)

        views = tuple(
            replace(v, ranges=tuple(replace(r, owner=None, parent=None) for r in v.ranges)) for v in self.flat.views
        )
        groups = tuple(replace(group, regions=rows(group.regions)) for group in self.tree.groups)
        targets = tuple(replace(target, regions=rows(target.regions)) for target in self.tree.targets)
        tree_row = replace(self.tree, groups=groups, targets=targets, owners=False)
        return Layout(tree_row, replace(self.flat, views=views, owners=False), self.blocks)


def compare(left: Layout, right: Layout) -> tuple[Change, ...]:
    """Every difference, trees first, each once: a region that is drawn in several places is told once.

    Owners are compared where both sides tell them. Host addresses, the order of groups and views, and MRU marks
    are not compared (memory.md 6.9).
    """
    if left.owners != right.owners:
        left, right = left.without_owners(), right.without_owners()
    seen: set[tuple[str, str, str | None, str | None]] = set()
    result = []
    for change in (
        *tree_changes(left.tree, right.tree),
        *flat_changes(left.flat, right.flat),
        *block_changes(left.blocks, right.blocks),
    ):
        key = (change.kind, change.what, _bare(change.left), _bare(change.right))
        if key not in seen:
            seen.add(key)
            result.append(change)
    return tuple(result)


def _bare(line: str | None) -> str | None:
    return None if line is None else line.strip()
