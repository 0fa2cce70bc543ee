r"""`info mtree` in any of its forms (spec/memory.md 6.3 to 6.6) to a `TreeRow`.

Names may hold blanks, brackets, colons and even " @" (spec/recordings.md 4). A line is therefore read
from its end: owner text, ` [disabled]`, an alias window; what is left of an alias is split at the
" @" behind which the name of a printed `memory-region:` section stands.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from qshim.recording.parse.lines import SPAN, Lines, owner_pair
from qshim.rows import AliasRow, GroupRow, OwnerRow, RegionRow, TargetRow, TreeRow

__all__ = ["parse_tree"]

_SPACE = "address-space: "
_SECTION = "memory-region: "
_OVERFLOW = "[DETECTED OVERFLOW!] "
_REGION = re.compile(rf"( +){SPAN} \(prio (-?\d+), (nv-)?(i/o|container|ramd|romd|ram|rom)\): (.*)")
_ALIAS = re.compile(rf"alias (.*) @(.*) {SPAN}")
_DISABLED = " [disabled]"


def parse_tree(text: str | Sequence[str], *, disabled: bool | None = None, name: str = "info mtree") -> TreeRow:
    """The rows of an `info mtree` text.

    *disabled*: whether the text was made with -D; None concludes it from a ` [disabled]` mark. That it
    was made with -o shows in its first region. *name* stands in complaints.

    :raises RecordingError: a line is none of an `info mtree`, or the text is cut short.
    """
    return _Tree(Lines(name, text), disabled).read()


class _Tree:
    def __init__(self, lines: Lines, disabled: bool | None) -> None:
        self.lines = lines
        self.disabled = disabled
        self.owners: bool | None = None
        self.sections = {line[len(_SECTION) :] for line in lines.lines if line.startswith(_SECTION)}

    def read(self) -> TreeRow:
        source, lines = self.lines, self.lines.lines
        groups: list[GroupRow] = []
        targets: list[TargetRow] = []
        while source.at < len(lines):
            line = lines[source.at]
            if line.startswith(_SPACE) and not targets:
                names = []
                while source.at < len(lines) and lines[source.at].startswith(_SPACE):
                    names.append(lines[source.at][len(_SPACE) :])
                    source.at += 1
                groups.append(GroupRow(tuple(names), self.regions()))
            elif line.startswith(_SECTION):
                source.at += 1
                targets.append(TargetRow(line[len(_SECTION) :], self.regions()))
            else:
                source.fail("neither an address space nor a memory region starts here", source.at)
        if not groups:
            source.fail("no address space in it", source.at)
        if self.disabled is None:
            every = [*(group.regions for group in groups), *(target.regions for target in targets)]
            self.disabled = any(row.disabled for rows in every for row in rows)
        return TreeRow(tuple(groups), tuple(targets), bool(self.owners), self.disabled)

    def regions(self) -> tuple[RegionRow, ...]:
        source, lines = self.lines, self.lines.lines
        rows: list[RegionRow] = []
        for at in range(source.at, len(lines)):
            line = lines[at]
            if not line:
                source.at = at + 1
                return tuple(rows)
            rows.append(self.region(line, at))
        source.fail("the empty line after the last region is missing", len(lines))

    def region(self, line: str, at: int) -> RegionRow:
        overflow = False
        while line.startswith(_OVERFLOW):
            # a hidden line leaves its mark in front of the next one, so several can stand here
            overflow, line = True, line[len(_OVERFLOW) :]
        match = _REGION.fullmatch(line)
        if match is None or len(match[1]) % 2:
            self.lines.fail("no line of a memory region", at)
        indent, start, last, priority, nonvolatile, kind, rest = match.groups()
        owner, parent, rest = self.owner(rest, at)
        disabled = rest.endswith(_DISABLED)
        if disabled:
            rest = rest[: -len(_DISABLED)]
            if self.disabled is False:
                self.lines.fail("a disabled region, though the text was made without -D", at)
        alias = None
        if rest.startswith("alias ") and (window := _ALIAS.fullmatch(rest)) is not None:
            rest, alias = self.alias(window, at)
        return RegionRow(
            len(indent) // 2, int(start, 16), int(last, 16), int(priority), kind, nonvolatile is not None, rest,
            disabled, alias, owner, parent, overflow,
        )  # fmt: skip

    def owner(self, rest: str, at: int) -> tuple[OwnerRow | None, OwnerRow | None, str]:
        if self.owners is False:
            return None, None, rest
        pair = owner_pair(rest)
        if self.owners is None:
            self.owners = pair is not None
        if pair is None:
            if self.owners:
                self.lines.fail("no owner, though the lines before have one", at)
            return None, None, rest
        return pair[1], pair[2], pair[0]

    def alias(self, window: re.Match[str], at: int) -> tuple[str, AliasRow]:
        start, last = int(window[3], 16), int(window[4], 16)
        name, target = window[1], window[2]
        if target in self.sections and " @" not in name:
            return name, AliasRow(target, start, last)
        middle = f"{name} @{target}"
        cut = -1
        while (cut := middle.find(" @", cut + 1)) >= 0:
            if middle[cut + 2 :] in self.sections:
                return middle[:cut], AliasRow(middle[cut + 2 :], start, last)
        self.lines.fail("an alias whose target has no 'memory-region:' section; is the text complete?", at)
