"""The `Dispatch` part of `info mtree -f -d` (spec/memory.md 4.5) to a `DispatchRow`."""

from __future__ import annotations

import re

from qshim.recording.parse.lines import Lines
from qshim.rows import DispatchRow, EntryRow, SectionRow

__all__ = ["parse_dispatch"]

_SECTIONS = "    Physical sections"
_SECTION = re.compile(
    r"      #(\d+) @([0-9a-f]{16})\.\.([0-9a-f]{16}) (.*?)"
    r"( \[unassigned\]| \[not dirty\]| \[ROM\]| \[watch\])?( \[ROOT\])?( \[MRU\])?( \[iommu\])?( alias=.*)?"
)
_MARKS = (" [unassigned]", " [not dirty]", " [ROM]", " [watch]")
_NODES = re.compile(r"    Nodes \(9 bits per level, (\d+) levels\) ptr=\[(\d+)\] skip=(\d+)")
_NODE = re.compile(r"      \[(\d+)\]")
_ENTRY = re.compile(r"\t *(\d+)(?:\.\.(\d+) *| +) skip=(\d+)  ptr=(?:(NIL)|#(\d+)|\[(\d+)\])")


def parse_dispatch(lines: Lines) -> DispatchRow:
    """One `Dispatch` part, *lines* standing behind its first line; they end up behind its last."""
    texts = lines.lines
    if lines.at >= len(texts) or texts[lines.at] != _SECTIONS:
        lines.fail("the physical sections of the dispatch should start here", lines.at)
    lines.at += 1
    sections: list[SectionRow] = []
    while lines.at < len(texts) and texts[lines.at].startswith("      #"):
        sections.append(_section(lines, len(sections)))
        lines.at += 1
    head = _NODES.fullmatch(texts[lines.at]) if lines.at < len(texts) else None
    if head is None:
        lines.fail("the nodes of the dispatch should start here", lines.at)
    lines.at += 1
    nodes: list[tuple[EntryRow, ...]] = []
    while lines.at < len(texts) and (match := _NODE.fullmatch(texts[lines.at])) is not None:
        if int(match[1]) != len(nodes):
            lines.fail(f"node [{len(nodes)}] should stand here", lines.at)
        lines.at += 1
        nodes.append(_entries(lines))
    return DispatchRow(tuple(sections), tuple(nodes), int(head[1]), int(head[2]), int(head[3]))


def _section(lines: Lines, index: int) -> SectionRow:
    match = _SECTION.fullmatch(lines.lines[lines.at])
    if match is None or int(match[1]) != index:
        lines.fail(f"no line of physical section #{index}", lines.at)
    mark = _MARKS[index] if index < len(_MARKS) else None
    if match[5] != mark:
        lines.fail(f"section #{index} should be marked '{mark or ''}'", lines.at)
    name = None if match[4] == "(noname)" else match[4]
    alias = None if match[9] is None else match[9][len(" alias=") :]
    return SectionRow(
        int(match[2], 16), int(match[3], 16), name,
        match[6] is not None, match[7] is not None, match[8] is not None, alias,
    )  # fmt: skip


def _entries(lines: Lines) -> tuple[EntryRow, ...]:
    texts = lines.lines
    entries: list[EntryRow] = []
    expected = 0
    while lines.at < len(texts) and texts[lines.at].startswith("\t"):
        match = _ENTRY.fullmatch(texts[lines.at])
        if match is None:
            lines.fail("no entry of a dispatch node", lines.at)
        first, last, skip, nil, section, node = match.groups()
        row = EntryRow(
            int(first), int(last or first), int(skip), None if nil else int(section if section is not None else node)
        )
        if row.first != expected or row.last < row.first or (not nil and (section is not None) != (row.skip == 0)):
            lines.fail("this entry does not continue the one before it", lines.at)
        expected = row.last + 1
        entries.append(row)
        lines.at += 1
    if expected != 512:
        lines.fail(f"a node has 512 entries, this one ends after {expected}", lines.at)
    return tuple(entries)
