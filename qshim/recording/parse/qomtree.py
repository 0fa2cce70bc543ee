"""`info qom-tree` to paths and types."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from qshim.recording.parse.lines import Lines

__all__ = ["QomNode", "parse_qom_tree"]

_LINE = re.compile(r"( *)/(.*) \(([^()]*)\)")


@dataclass(frozen=True, slots=True)
class QomNode:
    """One object of the QOM tree: its canonical path and its type name."""

    path: str
    type: str


def parse_qom_tree(text: str | Sequence[str], *, name: str = "info qom-tree") -> Iterator[QomNode]:
    """The objects of an `info qom-tree` text, parents before children.

    :raises RecordingError: a line is none of an `info qom-tree`, or a level is left out.
    """
    lines = Lines(name, text)
    prefixes: list[str] = []
    root = ""
    if lines.lines and name.startswith("info qom-tree /"):
        # the first line names only the last component of the path that was asked for
        root = name[len("info qom-tree ") :].rpartition("/")[0]
    if len(lines.lines) == 1 and lines.lines[0].endswith("could not be resolved."):
        return  # 7.2 has no /objects while nobody made any
    for at, line in enumerate(lines.lines):
        match = _LINE.fullmatch(line)
        if match is None:
            lines.fail("no line of a QOM tree", at)
        level, odd = divmod(len(match[1]), 2)
        if odd or level > len(prefixes):
            lines.fail("a level of the QOM tree is missing", at)
        del prefixes[level:]
        path = f"{prefixes[-1] if prefixes else root}/{match[2]}"
        prefixes.append(path)
        yield QomNode(path, match[3])
