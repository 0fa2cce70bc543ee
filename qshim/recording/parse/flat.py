r"""`info mtree -f`, with or without -d and -o (spec/memory.md 6.7, 4.5), to a `FlatRow`.

The numbers of the views are dropped: they come from a hash of pointers (spec/memory.md 6.9).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from qshim.recording.parse.lines import SPAN, Lines, owner_pair
from qshim.rows import DispatchRow, FlatRow, FlatViewRow, RangeRow, SpaceRow

__all__ = ["iommu_starts", "parse_flat"]

_SPACE = re.compile(r' AS "(.*)", root: (.*)')
_ROOT = " Root memory region: "
_EMPTY = "  No rendered FlatView"
_RANGE = re.compile(rf"  {SPAN} \(prio (-?\d+), (nv-)?(i/o|container|ramd|romd|ram|rom)\): (.*)")
_OFFSET = re.compile(r" @([0-9a-f]{16})$")
_KVM = " KVM"
_DISPATCH = "  Dispatch"
_DISPATCH_LINES = ("      #", "\t", "      [", "    Nodes (", "    Physical sections")
_IOMMU = re.compile(r"      #\d+ @([0-9a-f]{16})\.\.[0-9a-f]{16} .* \[iommu\](?: alias=.*)?$")


def parse_flat(
    text: str | Sequence[str], *, kvm: bool = False, dispatch: bool = True, name: str = "info mtree -f"
) -> FlatRow:
    """The rows of an `info mtree -f` text.

    *kvm*: ` KVM` at the end of a range is the accelerator's mark, not part of a name. *dispatch* False
    leaves the dispatch parts unread (much the larger part of a text); the views then have none.

    :raises RecordingError: a line is none of an `info mtree -f`, or the text is cut short.
    """
    return _Flat(Lines(name, text), kvm, dispatch).read()


def iommu_starts(text: str | Sequence[str]) -> tuple[tuple[int, ...], ...]:
    """Per view, where the sections tagged `[iommu]` start; cheap, reads nothing else of the dispatch."""
    found: list[list[int]] = []
    for line in Lines("", text).lines:
        if line.startswith("FlatView #"):
            found.append([])
        elif "[iommu]" in line and found and line.startswith("      #"):
            match = _IOMMU.match(line)
            if match is not None:
                found[-1].append(int(match[1], 16))
    return tuple(map(tuple, found))


class _Flat:
    def __init__(self, lines: Lines, kvm: bool, dispatch: bool) -> None:
        self.lines = lines
        self.kvm = kvm
        self.dispatch = dispatch
        self.owners: bool | None = None
        self.dispatches: bool = False

    def read(self) -> FlatRow:
        lines, texts = self.lines, self.lines.lines
        views: list[FlatViewRow] = []
        while lines.at < len(texts):
            if not texts[lines.at].startswith("FlatView #"):
                lines.fail("no flat view starts here", lines.at)
            lines.at += 1
            views.append(self.view())
        if not views:
            lines.fail("no flat view in it", lines.at)
        return FlatRow(tuple(views), bool(self.owners), self.dispatches)

    def view(self) -> FlatViewRow:
        lines, texts = self.lines, self.lines.lines
        spaces: list[SpaceRow] = []
        while lines.at < len(texts) and texts[lines.at].startswith(" AS "):
            spaces.append(self.space(texts[lines.at]))
            lines.at += 1
        if not spaces:
            lines.fail("a flat view without an address space", lines.at)
        if lines.at >= len(texts) or not texts[lines.at].startswith(_ROOT):
            lines.fail("the root memory region of the flat view should stand here", lines.at)
        root = texts[lines.at][len(_ROOT) :]
        lines.at += 1
        ranges: tuple[RangeRow, ...] = ()
        dispatch = None
        if lines.at < len(texts) and texts[lines.at] == _EMPTY:
            lines.at += 1
        else:
            ranges = self.ranges()
            if lines.at < len(texts) and texts[lines.at] == _DISPATCH:
                dispatch = self.dispatch_part()
        if lines.at >= len(texts) or texts[lines.at]:
            lines.fail("the empty line after the flat view is missing", lines.at)
        lines.at += 1
        return FlatViewRow(tuple(spaces), None if root == "(none)" else root, ranges, dispatch)

    def space(self, line: str) -> SpaceRow:
        match = _SPACE.fullmatch(line)
        if match is None:
            self.lines.fail("no address space of a flat view", self.lines.at)
        root, mark, alias = match[2].rpartition(", alias ")
        return SpaceRow(match[1], root, alias) if mark else SpaceRow(match[1], match[2])

    def dispatch_part(self) -> DispatchRow | None:
        lines, texts = self.lines, self.lines.lines
        self.dispatches = True
        lines.at += 1
        if self.dispatch:
            from qshim.recording.parse.dispatch import parse_dispatch

            return parse_dispatch(lines)
        while lines.at < len(texts) and texts[lines.at]:
            if not texts[lines.at].startswith(_DISPATCH_LINES):
                lines.fail("no line of a dispatch", lines.at)
            lines.at += 1
        return None

    def ranges(self) -> tuple[RangeRow, ...]:
        lines, texts = self.lines, self.lines.lines
        rows: list[RangeRow] = []
        for at in range(lines.at, len(texts)):
            line = texts[at]
            match = _RANGE.fullmatch(line)
            if match is None:
                if line and line != _DISPATCH:
                    lines.fail("no range of a flat view", at)
                lines.at = at
                break
            rows.append(self.range(match, at))
        else:
            lines.at = len(texts)
        if not rows:
            lines.fail("a flat view without ranges says 'No rendered FlatView'", lines.at)
        return tuple(rows)

    def range(self, match: re.Match[str], at: int) -> RangeRow:
        start, last, priority, nonvolatile, kind, rest = match.groups()
        accelerators = 0
        if self.kvm:
            while rest.endswith(_KVM):
                accelerators, rest = accelerators + 1, rest[: -len(_KVM)]
        pair = owner_pair(rest) if self.owners is not False else None
        owner = parent = None
        if self.owners is None:
            self.owners = pair is not None
        if pair is not None:
            rest, owner, parent = pair
        elif self.owners:
            self.lines.fail("no owner, though the ranges before have one", at)
        offset = 0
        if (tail := _OFFSET.search(rest)) is not None:
            offset, rest = int(tail[1], 16), rest[: tail.start()]
        first, final = int(start, 16), int(last, 16)
        if final < first:
            self.lines.fail("a range that ends before it starts", at)
        return RangeRow(
            first, final, int(priority), kind, nonvolatile is not None, rest, offset, owner, parent,
            ("KVM",) * accelerators,
        )  # fmt: skip
