"""The text file of a snapshot, and the way back: `parse(render(x)) == x`.

Trees and views stand in it as QEMU prints them, so whoever reads `info mtree` reads these. A digest over the rest
shows a file that was cut, merged badly or edited by hand: such a file compares with nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import NoReturn

from qshim.errors import RecordingError
from qshim.layout.compare import Layout
from qshim.layout.snapshot import BlockNote, Snapshot
from qshim.recording.parse import parse_flat, parse_tree
from qshim.rows import BlockRow
from qshim.units import hex_plain
from qshim.views.flatview import flat_lines
from qshim.views.mtree import tree_lines

__all__ = ["FIRST_LINE", "digest", "is_snapshot", "parse", "render"]

FIRST_LINE = "# qshim/snapshot/1: the memory layout of one machine"

_COMMENTS = {
    "RAM blocks": (
        "# In the order in which a migration sends them. used: length that the other side must have, unless",
        "# resizeable; max: what it may grow to. offset: QEMU's own address of the block (ram_addr_t).",
    ),
    "memory devices": ("# DIMMs and the like, as query-memory-devices lists them.",),
    "regions": ("# info mtree -o -D: address spaces, then what aliases show.",),
    "views": ("# info mtree -f: what an access meets.",),
}
_FACTS = ("machine", "target", "qemu", "state")
_NUMBER = re.compile(r"FlatView #\d+\n")
_BLOCK = re.compile(
    r'(?P<name>"(?:[^"\\]|\\.)*") used=(?P<used>0x[0-9a-f]+) max=(?P<max>0x[0-9a-f]+) page=(?P<page>0x[0-9a-f]+) '
    r"offset=(?P<offset>0x[0-9a-f]+) resizeable=(?P<resizeable>yes|no|unknown)(?P<marks>(?: (?:rw|ro|shared|file))*)"
)
_RESIZEABLE = {True: "yes", False: "no", None: "unknown"}


def render(snapshot: Snapshot) -> str:
    """The text of *snapshot*, lines ended by a newline."""
    body = "".join(f"{line}\n" for line in _body(snapshot))
    facts = "".join(f"{name}: {getattr(snapshot, name) or '-'}\n" for name in _FACTS)
    head = f"{FIRST_LINE}\n# `qshim snapshot` writes it, `qshim diff` and `qshim check` read it; not to be edited.\n"
    return f"{head}digest: {_digest(facts + body)}\n{facts}{body}"


def digest(snapshot: Snapshot) -> str:
    """64 hex digits of the layout, without the machine type and the version of QEMU."""
    return _digest("".join(f"{line}\n" for line in _body(snapshot)))


def is_snapshot(data: bytes) -> bool:
    """Whether a file that begins with *data* is the text of a snapshot."""
    return data.startswith(FIRST_LINE[:17].encode())


def parse(text: str, name: str = "snapshot") -> Snapshot:
    """The snapshot whose text *text* is; *name* stands in complaints.

    :raises RecordingError: it is none, is incomplete, or is not as it was written.
    """
    return _Reader(text.replace("\r\n", "\n"), name).snapshot()


def _digest(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _body(snapshot: Snapshot) -> Iterator[str]:
    layout = snapshot.layout
    yield from _heading("RAM blocks")
    for row, note in zip(layout.blocks, snapshot.notes, strict=True):
        marks = [] if row.readonly is None else ["ro" if row.readonly else "rw"]
        marks += ["shared"] * note.shared + ["file"] * note.from_file
        sizes = " ".join(
            f"{word}={hex_plain(value)}"
            for word, value in (
                ("used", row.used_length), ("max", row.max_length), ("page", row.page_size), ("offset", row.offset),
            )
        )  # fmt: skip
        yield " ".join((json.dumps(row.name), sizes, f"resizeable={_RESIZEABLE[note.resizeable]}", *marks))
    yield from _heading("memory devices")
    for device in snapshot.devices:
        yield json.dumps(device)
    yield from _heading("regions")
    yield from "".join(tree_lines(layout.tree)).removesuffix("\n").split("\n")
    yield from _heading("views")
    yield from _NUMBER.sub("FlatView\n", "".join(flat_lines(layout.flat))).removesuffix("\n").split("\n")
    yield "[end]"


def _heading(name: str) -> Iterator[str]:
    yield ""
    yield f"[{name}]"
    yield from _COMMENTS[name]


class _Reader:
    def __init__(self, text: str, name: str) -> None:
        self.text = text
        self.name = name

    def fail(self, what: str) -> NoReturn:
        raise RecordingError(f"{self.name} is no valid snapshot: {what}; make it again with qshim snapshot")

    def snapshot(self) -> Snapshot:
        lines = self.text.split("\n")
        if lines[0] != FIRST_LINE:
            self.fail(f"it does not begin with {FIRST_LINE!r}")
        if lines[-2:] != ["[end]", ""]:
            self.fail("its end is missing")
        facts: dict[str, str] = {}
        at = 1
        while lines[at]:
            if not lines[at].startswith("#"):
                key, _, value = lines[at].partition(": ")
                facts[key] = value
            at += 1
        if tuple(facts) != ("digest", *_FACTS):
            self.fail(f"it says {', '.join(facts)}, not digest, {', '.join(_FACTS)}")
        if _digest(self.text.partition(f"digest: {facts['digest']}\n")[2]) != facts["digest"]:
            self.fail("its digest does not fit, so it was edited, merged or damaged")
        parts = self.sections(lines[at:-2])
        if list(parts) != list(_COMMENTS):
            self.fail(f"its sections are {', '.join(parts)}, not {', '.join(_COMMENTS)}")
        blocks, notes = [], []
        for line in parts["RAM blocks"]:
            row, note = self.block(line)
            blocks.append(row)
            notes.append(note)
        try:
            devices = tuple(json.loads(line) for line in parts["memory devices"])
        except ValueError as error:
            self.fail(f"a memory device cannot be read: {error}")
        regions = parse_tree([*parts["regions"], ""], disabled=True, name=self.name)
        numbered, count = [], 0
        for line in parts["views"]:
            if line == "FlatView":
                line, count = f"FlatView #{count}", count + 1
            numbered.append(line)
        views = parse_flat([*numbered, ""] if count else [], name=self.name)
        machine, target, qemu, state = (None if facts[key] == "-" else facts[key] for key in _FACTS)
        layout = Layout(regions, views, tuple(blocks))
        return Snapshot(machine, target, qemu, state or "reset", layout, tuple(notes), devices)

    def sections(self, lines: Sequence[str]) -> dict[str, list[str]]:
        parts: dict[str, list[str]] = {}
        for line in lines:
            if line.startswith("[") and line.endswith("]") and line[1:-1] in _COMMENTS:
                current = parts.setdefault(line[1:-1], [])
            elif parts and not line.startswith("#"):
                current.append(line)
        for part in parts.values():
            while part and not part[-1]:
                part.pop()
        return parts

    def block(self, line: str) -> tuple[BlockRow, BlockNote]:
        match = _BLOCK.fullmatch(line)
        if match is None:
            self.fail(f"a RAM block cannot be read: {line}")
        sizes = {word: int(match[word], 16) for word in ("used", "max", "page", "offset")}
        marks = match["marks"].split()
        row = BlockRow(
            json.loads(match["name"]), sizes["page"], sizes["offset"], sizes["used"], sizes["max"], None,
            "ro" in marks if {"ro", "rw"} & set(marks) else None,
        )  # fmt: skip
        resizeable = {word: value for value, word in _RESIZEABLE.items()}[match["resizeable"]]
        return row, BlockNote(resizeable, "shared" in marks, "file" in marks)
