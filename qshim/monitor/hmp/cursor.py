"""A command line and how far it has been read (spec/monitor.md 5.3)."""

from __future__ import annotations

from collections.abc import Container

__all__ = ["BLANKS", "Cursor", "LineError", "byte_shown"]

BLANKS = " \t\n\v\f\r"
_ESCAPES = {"n": "\n", "r": "\r", "\\": "\\", "'": "'", '"': '"'}
_LONGEST_WORD = 1023


class LineError(Exception):
    """A command line that does not fit; the text is printed as it is, in front of the Try line."""


def byte_shown(char: str) -> str:
    """What QEMU prints for a character where it prints one byte: the first byte, as a surrogate if not ASCII.

    >>> byte_shown("a"), byte_shown("\u00e9")
    ('a', '\\udcc3')
    """
    if not char or char.isascii():
        return char
    return char.encode("utf-8", "surrogateescape")[:1].decode("utf-8", "surrogateescape")


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

    def take(self, chars: Container[str]) -> str:
        """Read on while the next character is one of *chars*; what was read."""
        start = self.at
        while self.at < len(self.line) and self.line[self.at] in chars:
            self.at += 1
        return self.line[start : self.at]

    def word(self) -> str | None:
        r"""The next word or "quoted" string with escapes; None where there is none, or a bad one.

        QEMU keeps 1,023 bytes of a word and drops the rest.
        """
        self.skip_blanks()
        if not self.peek():
            return None
        if self.peek() != '"':
            start = self.at
            while self.peek() and self.peek() not in BLANKS:
                self.at += 1
            return _cut(self.line[start : self.at])
        self.at += 1
        out = []
        while (char := self.peek()) and char != '"':
            self.at += 1
            if char == "\\":
                escape = self.peek()
                if escape not in _ESCAPES:
                    return None
                char = _ESCAPES[escape]
                self.at += 1
            out.append(char)
        if not char:
            return None
        self.at += 1
        return _cut("".join(out))


def _cut(word: str) -> str:
    data = word.encode("utf-8", "surrogateescape")
    return word if len(data) <= _LONGEST_WORD else data[:_LONGEST_WORD].decode("utf-8", "surrogateescape")
