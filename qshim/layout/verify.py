"""Whether a rebuilt machine prints what was recorded: the self-check of a recording."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import unified_diff

from qshim.layout.canonical import canonical
from qshim.recording.format import RAMBLOCK_COMMAND, Recording
from qshim.recording.rebuild import Rebuilt
from qshim.views.flatview import flat, flat_text
from qshim.views.mtree import tree, tree_text
from qshim.views.ramblock import blocks, blocks_text
from qshim.views.viewed import Viewed

__all__ = ["Difference", "comparable", "rendered", "verify"]


@dataclass(frozen=True, slots=True)
class Difference:
    """A text that the rebuilt machine prints differently."""

    command: str
    lines: tuple[str, ...]
    """Unified diff, recorded to rebuilt, after `layout.canonical`."""


def comparable(recording: Recording) -> list[str]:
    """The commands of *recording* that a rebuilt machine can be asked for."""
    return [c for c in sorted(recording.hmp) if c == RAMBLOCK_COMMAND or c.split()[:2] == ["info", "mtree"]]


def rendered(rebuilt: Viewed, command: str) -> str:
    """What *rebuilt* prints for `info mtree` with any flags, or `info ramblock`; lines end in a newline."""
    if command == RAMBLOCK_COMMAND:
        return blocks_text(blocks(rebuilt), rebuilt.quirks)
    flags = set(command.split()[2:])
    if "-f" in flags:
        return flat_text(flat(rebuilt, owner="-o" in flags, dispatch="-d" in flags))
    return tree_text(tree(rebuilt, owner="-o" in flags, disabled="-D" in flags))


def verify(recording: Recording, rebuilt: Rebuilt) -> Iterator[Difference]:
    """Every text of *recording* that *rebuilt* prints differently; nothing is what it should be."""
    for command in comparable(recording):
        recorded = canonical(recording.hmp[command])
        ours = canonical(rendered(rebuilt, command))
        if recorded != ours:
            diff = unified_diff(recorded, ours, "recorded", "rebuilt", lineterm="", n=1)
            yield Difference(command, tuple(diff))
