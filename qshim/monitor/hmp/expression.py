"""HMP's expressions: 64-bit signed integers (spec/monitor.md 5.5).

Loosest first: `+ -`; then `& | ^`, all alike; then `* / %`; then unary `+ - ~`, parentheses, character
constants, registers and numbers as C's strtoull reads them.
"""

from __future__ import annotations

from collections.abc import Callable

from qshim.monitor.hmp.cursor import Cursor, LineError, byte_shown

__all__ = ["Registers", "evaluate", "signed"]

Registers = Callable[[str], int]
"""The value of the register of that name; raises LineError."""

_WORD = 1 << 64
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_REGISTER = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.")
_LEVELS = ("+-", "&|^", "*/%")
_DEEPEST = 100


def signed(value: int) -> int:
    """*value* modulo 2^64, as a signed number."""
    value %= _WORD
    return value - _WORD if value >> 63 else value


def evaluate(cursor: Cursor, registers: Registers, binary: bool = False) -> int:
    """The value of the expression at *cursor*, which then stands behind it.

    *binary*: the C library takes `0b101`, too.

    :raises LineError: with QEMU's text.
    """
    return _Evaluation(cursor, registers, binary).whole()


class _Evaluation:
    def __init__(self, cursor: Cursor, registers: Registers, binary: bool) -> None:
        self.cursor = cursor
        self.registers = registers
        self.binary = binary
        self.depth = 0

    def whole(self) -> int:
        self.cursor.skip_blanks()
        return self.level(0)

    def level(self, n: int) -> int:
        if n == len(_LEVELS):
            return self.unary()
        value = self.level(n + 1)
        while (operator := self.cursor.peek()) and operator in _LEVELS[n]:
            self.next()
            value = signed(_apply(operator, value, self.level(n + 1)))
        return value

    def next(self) -> None:
        if self.cursor.peek():
            self.cursor.at += 1
            self.cursor.skip_blanks()

    def unary(self) -> int:
        operators = []
        while (char := self.cursor.peek()) and char in "+-~":
            operators.append(char)
            self.next()
        value = self.primary(char)
        for operator in reversed(operators):
            value = signed(-value if operator == "-" else ~value if operator == "~" else value)
        return value

    def primary(self, char: str) -> int:
        cursor = self.cursor
        if not char:
            raise LineError("unexpected end of expression\n")
        if char == "(":
            self.depth += 1
            if self.depth > _DEEPEST:
                raise LineError(f"qshim takes {_DEEPEST} nested parentheses, not more\n")
            self.next()
            value = self.level(0)
            if cursor.peek() != ")":
                raise LineError("')' expected\n")
            self.next()
            self.depth -= 1
            return value
        if char == "'":
            constant = cursor.peek(1)
            if not constant:
                raise LineError("character constant expected\n")
            if cursor.peek(2) != "'":
                raise LineError("missing terminating ' character\n")
            cursor.at += 2
            self.next()
            return constant.encode("utf-8", "surrogateescape")[0]
        if char == "$":
            cursor.at += 1
            name = cursor.take(_REGISTER)
            cursor.skip_blanks()
            return signed(self.registers(name[:127]))
        return self.number()

    def number(self) -> int:
        cursor = self.cursor
        start = cursor.at
        base = 10
        if cursor.peek() == "0":
            base = 8
            prefix = cursor.peek(1).lower()
            if prefix == "x" and _is_digit(cursor.peek(2), 16):
                base = 16
                cursor.at += 2
            elif prefix == "b" and self.binary and _is_digit(cursor.peek(2), 2):
                base = 2
                cursor.at += 2
        digits = cursor.at
        while _is_digit(cursor.peek(), base):
            cursor.at += 1
        if cursor.at == start:
            raise LineError(f"invalid char '{byte_shown(cursor.peek())}' in expression\n")
        text = cursor.line[digits : cursor.at].lstrip("0")
        # no number of more digits than 2^64 has fits, whatever they are
        value = _WORD if len(text) > 64 else int(text or "0", base)
        if value >= _WORD:
            raise LineError("number too large\n")
        cursor.skip_blanks()
        return signed(value)


def _is_digit(char: str, base: int) -> bool:
    return bool(char) and char.lower() in _DIGITS[:base]


def _apply(operator: str, left: int, right: int) -> int:
    if operator in "/%":
        if not right:
            raise LineError("division by zero\n")
        quotient = abs(left) // abs(right)
        if (left < 0) != (right < 0):
            quotient = -quotient
        return quotient if operator == "/" else left - quotient * right
    if operator == "+":
        return left + right
    if operator == "-":
        return left - right
    if operator == "*":
        return left * right
    if operator == "&":
        return left & right
    return left | right if operator == "|" else left ^ right


