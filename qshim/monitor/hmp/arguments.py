"""The arguments of HMP commands, read in QEMU's order and words (spec/memory.md 5.6, 6.1; monitor.md 5.3).

A parameter is an object with `read(cursor, later) -> value`; the rest of the command line is a
`Cursor`. `Flag` is the first kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["BLANKS", "Cursor", "Flag", "LineError", "read_all"]

BLANKS = " \t\n\v\f\r"


class LineError(Exception):
    """A command line that does not fit; the text is printed as it is, in front of the Try line."""


class Cursor:
    """A command line and the index of what has not been read yet."""

    __slots__ = ("at", "line")

    def __init__(self, line: str) -> None:
        self.line = line
        self.at = 0

    def skip_blanks(self) -> None:
        """Go on to the next character that is not white space."""
        while self.at < len(self.line) and self.line[self.at] in BLANKS:
            self.at += 1

    def peek(self, ahead: int = 0) -> str:
        """The next character, or a later one; "" behind the end."""
        return self.line[self.at + ahead : self.at + ahead + 1]


class Flag(NamedTuple):
    """`-x`: True where it stands at this place of the line."""

    name: str
    letter: str

    def read(self, cursor: Cursor, command: str, later: Sequence[Flag]) -> bool:
        """Whether the flag comes next. One that belongs to a later parameter is left for it.

        :raises LineError: a dash with a letter that neither this nor a later parameter knows.
        """
        cursor.skip_blanks()
        if cursor.peek() != "-":
            return False
        letter = cursor.peek(1)
        if letter == self.letter:
            cursor.at += 2
            return True
        if letter and any(flag.letter == letter for flag in later):
            return False
        # QEMU prints one byte; the end of the line is a NUL, which cuts the message with its line end
        shown = letter if letter.isascii() else "\ufffd"
        raise LineError(f"{command}: unsupported option -{shown}" + ("\n" if letter else ""))


def read_all(cursor: Cursor, command: str, parameters: Sequence[Flag]) -> dict[str, object]:
    """The value of each parameter by name; nothing may be left.

    :raises LineError: with QEMU's text.
    """
    values: dict[str, object] = {}
    for i, parameter in enumerate(parameters):
        values[parameter.name] = parameter.read(cursor, command, parameters[i + 1 :])
    cursor.skip_blanks()
    if cursor.peek():
        raise LineError(f"{command}: extraneous characters at the end of line\n")
    return values
