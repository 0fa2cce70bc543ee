"""What all monitor texts share: numbered lines, the complaint about one of them, and the owner suffix."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NoReturn

from qshim.errors import RecordingError
from qshim.recording.format import lines_of
from qshim.rows import OwnerRow

__all__ = ["SPAN", "Lines", "owner_pair"]

SPAN = r"([0-9a-f]{16})-([0-9a-f]{16})"
"""`START-LAST` as every mtree line has it."""

_OWNERS = re.compile(
    r"(?: orphan"
    r"|(?: owner:(?P<owner>\{(?:dev|obj) (?:id|path|type)=.*?\}))?"
    r"(?: parent:(?P<parent>\{(?:dev|obj) (?:id|path|type)=.*?\}))?)$"
)
_OWNER = re.compile(r"\{(dev|obj) (id|path|type)=(.*)\}")


class Lines:
    """The lines of one text and its name in complaints."""

    __slots__ = ("at", "lines", "name")

    def __init__(self, name: str, text: str | Sequence[str]) -> None:
        self.name = name
        self.lines: Sequence[str] = lines_of(text) if isinstance(text, str) else text
        self.at = 0
        """Index of the line that is read next."""

    def fail(self, why: str, at: int | None = None) -> NoReturn:
        """Raise `RecordingError` about line *at* (an index), or about the one read last."""
        index = self.at - 1 if at is None else at
        if index >= len(self.lines):
            raise RecordingError(f"'{self.name}' is cut short after line {len(self.lines)}: {why}")
        raise RecordingError(f"'{self.name}' line {index + 1}: {why}: {self.lines[index]!r}")


@lru_cache(maxsize=4096)
def _owner_row(text: str) -> OwnerRow:
    match = _OWNER.fullmatch(text)
    assert match is not None
    kind, key, value = match.groups()
    return OwnerRow(kind == "dev", key, value)


def owner_pair(rest: str) -> tuple[str, OwnerRow | None, OwnerRow | None] | None:
    """*rest* of a line without its owner text, owner and parent; None when it carries no owner text.

    >>> owner_pair("io parent:{obj path=/machine/unattached}")[0]
    'io'
    """
    start = 0
    while (start := rest.find(" o", start)) >= 0:
        if rest.startswith((" owner:{", " orphan"), start):
            break
        start += 1
    if start < 0:
        start = rest.find(" parent:{")
        if start < 0:
            return None
    match = _OWNERS.search(rest, start)
    if match is None or match.start() == len(rest):
        return None
    owner, parent = match["owner"], match["parent"]
    return (
        rest[: match.start()],
        None if owner is None else _owner_row(owner),
        None if parent is None else _owner_row(parent),
    )
