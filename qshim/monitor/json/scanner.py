"""Bytes to JSON values and errors: tokens, limits, resynchronisation, positions (spec/monitor.md 1.6 to 1.8).

Two paths give the same result. A chunk that begins between two messages is tried with the standard
library's scanner, which is fast and agrees with QEMU on plain ASCII text without `\\u`, floats, long
integers and duplicate keys; whatever it does not like, and everything doubtful, goes the exact path:
tokens by regular expression where they are complete, byte by byte where QEMU's lexer would notice
something, with the unfinished token kept so that a message costs the same in any chunking.
"""

from __future__ import annotations

import re
from functools import cache
from json import JSONDecoder

from qshim.monitor.json.assemble import Assembler
from qshim.monitor.json.strings import Problem, display

__all__ = ["MAX_DEPTH", "MAX_SIZE", "MAX_TOKENS", "JsonError", "Scanner"]

MAX_DEPTH = 1024
"""Open braces and brackets of one message."""
MAX_TOKENS = 2 << 20
"""Tokens of one message."""
MAX_SIZE = 64 << 20
"""Bytes of one message's tokens; also the most that an unfinished message can hold here."""
_MAX_TEXT = 1023

# lexer states; _START is falsy
_START, _STRING, _ESCAPE, _WORD, _RECOVER = range(5)
_SIGN, _ZERO, _DIGITS, _POINT, _FRACTION, _EXP, _EXP_SIGN, _EXP_DIGITS = range(5, 13)

_KINDS = (None, None, '"', "i", "f", "k")
_BLANKS = b" \t\r\n"

_DIGIT = b"0123456789"
_NUMBER_STEPS: dict[int, tuple[tuple[bytes, int], ...]] = {
    _SIGN: ((b"0", _ZERO), (b"123456789", _DIGITS)),
    _ZERO: ((b".", _POINT),),
    _DIGITS: ((_DIGIT, _DIGITS), (b".", _POINT), (b"eE", _EXP)),
    _POINT: ((_DIGIT, _FRACTION),),
    _FRACTION: ((_DIGIT, _FRACTION), (b"eE", _EXP)),
    _EXP: ((b"+-", _EXP_SIGN), (_DIGIT, _EXP_DIGITS)),
    _EXP_SIGN: ((_DIGIT, _EXP_DIGITS),),
    _EXP_DIGITS: ((_DIGIT, _EXP_DIGITS),),
    _WORD: ((b"abcdefghijklmnopqrstuvwxyz", _WORD),),
}
_STEPS: dict[int, dict[int, int]] = {
    state: {byte: target for chars, target in rows for byte in chars} for state, rows in _NUMBER_STEPS.items()
}
_COMPLETE = {_ZERO: "i", _DIGITS: "i", _FRACTION: "f", _EXP_DIGITS: "f", _WORD: "k"}
_FIRST: dict[int, int] = {
    0x22: _STRING, 0x27: _STRING, 0x2D: _SIGN, 0x30: _ZERO,
    **dict.fromkeys(b"123456789", _DIGITS), **dict.fromkeys(range(0x61, 0x7B), _WORD),
}  # fmt: skip


class _Expressions:
    """What the exact path looks for. Made on first use: most clients never leave the fast path, and start-up counts."""

    def __init__(self) -> None:
        in_double = rb'[^"\\\x00-\x1f\xfe\xff]*+'
        in_single = rb"[^'\\\x00-\x1f\xfe\xff]*+"
        escape = rb"\\[\x20-\xfd]"
        self.token = re.compile(
            rb"[ \t\r\n]*(?:"
            rb"([{}\[\]:,])"
            rb'|("' + in_double + rb"(?:" + escape + in_double + rb')*+"'
            rb"|'" + in_single + rb"(?:" + escape + in_single + rb")*+')"
            rb"|(-?(?:0|[1-9][0-9]*))(?=[^0-9.eE])"
            rb"|(-?(?:0\.[0-9]+|[1-9][0-9]*(?:\.[0-9]+)?)(?:[eE][+-]?[0-9]+)?)(?=[^0-9.eE])"
            rb"|([a-z]+)(?=[^a-z])"
            rb")"
        ).match
        """A complete token; its group says the kind."""
        self.blanks = re.compile(rb"[ \t\r\n]*").match
        self.runs = {0x22: re.compile(in_double).match, 0x27: re.compile(in_single).match}
        """The rest of a string by its delimiter, up to what needs care."""
        self.resync = re.compile(rb"[\[\]{}:,\x00-\x08\x0a-\x1f\xfe\xff]").search


_expressions = cache(_Expressions)


class JsonError:
    """A piece of input that is not JSON; `text` is the `desc` of QEMU's reply."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, JsonError) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"JsonError({self.text!r})"


class _Doubtful(ValueError):
    """The standard library may read this differently from QEMU."""


def _plain_int(text: str) -> int:
    if len(text) < 19:
        return int(text)
    raise _Doubtful


def _refuse(text: str) -> float:
    raise _Doubtful


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise _Doubtful
    return result


_decode = JSONDecoder(
    object_pairs_hook=_unique, parse_int=_plain_int, parse_float=_refuse, parse_constant=_refuse
).raw_decode


class Scanner:
    """A stream of JSON values in QEMU's dialect; never raises on input, holds at most `MAX_SIZE` bytes."""

    def __init__(self, incremental: bool) -> None:
        """*incremental*: parse as 11.1 does, with positions (Quirks.json_incremental)."""
        self._incremental = incremental
        self._assembler = Assembler(incremental)
        self._items: list[object] = []
        # position: lines before, and stream offset of the line's first byte, up to stream offset _counted
        self._line = 1
        self._line_start = 0
        self._counted = 0
        self._base = 0
        self._chunk = b""
        self._lexer_reset()
        self._message_reset()

    def _lexer_reset(self) -> None:
        self._state = _START
        self._quote = 0
        self._partial = bytearray()
        self._start = (0, 0)
        self._ahead = -1

    def _message_reset(self) -> None:
        self._braces = self._brackets = self._tokens = self._size = 0
        self._swallow = False
        self._failure = ""
        self._assembler.reset()

    @property
    def idle(self) -> bool:
        """Whether the stream stands between two messages."""
        return not self._state and not self._tokens

    def feed(self, data: bytes) -> list[object]:
        """What *data* completes, in order: values (None, bool, int, float, str, list, dict) and `JsonError`s."""
        items: list[object] = []
        self._items = items
        self._chunk = data
        at = self._fast(data) if not self._state and not self._tokens else 0
        if at < len(data):
            self._exact(data, at)
        if self._incremental:
            self._count(self._base + len(data))
        self._base += len(data)
        self._chunk = b""
        return items

    # -- the fast path

    def _fast(self, data: bytes) -> int:
        """Take whole plain messages from the front; the index of the first byte not taken."""
        end = len(data)
        at = 0
        while at < end and data[at] in _BLANKS:
            at += 1
        if at == end or data[at] != 0x7B or not data.isascii() or b"\\u" in data:
            return at
        text = data.decode("ascii")
        while at < end and data[at] == 0x7B:
            try:
                value, after = _decode(text, at)
            except (ValueError, RecursionError):
                return at
            if after - at > MAX_DEPTH and text.count("{", at, after) + text.count("[", at, after) > MAX_DEPTH:
                return at
            self._items.append(value)
            at = after
            while at < end and data[at] in _BLANKS:
                at += 1
        return at

    # -- bytes to tokens

    def _exact(self, data: bytes, at: int) -> None:
        end = len(data)
        expressions = _expressions()
        complete = expressions.token
        while at < end:
            state = self._state
            if not state:
                match = complete(data, at)
                if match is not None:
                    group = match.lastindex
                    assert group is not None
                    start, at = match.span(group)
                    token = match[group]
                    kind = _KINDS[group]
                    ahead = self._base + start == self._ahead
                    if group >= 3:
                        self._ahead = self._base + at
                    self._token(kind or chr(token[0]), token, start, ahead)
                else:
                    at = self._begin(data, at)
            elif state == _STRING:
                at = self._string(data, at)
            elif state == _ESCAPE:
                byte = data[at]
                self._partial.append(byte)
                at += 1
                if 0x20 <= byte <= 0xFD:
                    self._state = _STRING
                else:
                    self._stray()
            elif state == _RECOVER:
                found = expressions.resync(data, at)
                if found is None:
                    return
                at = found.start()
                self._state = _START
                self._ahead = self._base + at
            else:
                at = self._number_or_word(data, at)

    def _begin(self, data: bytes, at: int) -> int:
        """The first byte of a token that the expression could not take as a whole."""
        match = _expressions().blanks(data, at)
        at = match.end() if match else at
        if at == len(data):
            return at
        byte = data[at]
        self._partial = bytearray((byte,))
        self._start = self._where(at, self._base + at == self._ahead)
        self._state = _FIRST.get(byte, _START)
        self._quote = byte
        if not self._state:
            self._stray()
        return at + 1

    def _string(self, data: bytes, at: int) -> int:
        match = _expressions().runs[self._quote](data, at)
        assert match is not None
        self._partial += match[0]
        at = match.end()
        if len(self._partial) > MAX_SIZE:
            self._oversized()
            return at
        if at == len(data):
            return at
        byte = data[at]
        self._partial.append(byte)
        if byte == self._quote:
            self._state = _START
            self._token('"', bytes(self._partial), None, False)
        elif byte == 0x5C:
            self._state = _ESCAPE
        else:
            self._stray()
        return at + 1

    def _number_or_word(self, data: bytes, at: int) -> int:
        end = len(data)
        state = self._state
        partial = self._partial
        while at < end:
            byte = data[at]
            following = _STEPS[state].get(byte)
            if following is None:
                kind = _COMPLETE.get(state)
                if kind is None or (state == _ZERO and byte in _DIGIT):
                    partial.append(byte)
                    self._stray()
                    return at + 1
                self._state = _START
                self._ahead = self._base + at
                self._token(kind, bytes(partial), None, False)
                return at
            state = following
            partial.append(byte)
            at += 1
        self._state = state
        if len(partial) > MAX_SIZE:
            self._oversized()
        return at

    def _oversized(self) -> None:
        """One token alone breaks the size limit: QEMU gives up on it and lexes on from here."""
        self._partial = bytearray()
        self._state = _START
        self._limit("JSON token size limit exceeded")

    def _stray(self) -> None:
        token = bytes(self._partial).partition(b"\0")[0]
        self._partial = bytearray()
        self._state = _RECOVER
        if not self._swallow:
            text = b"stray '" + token + b"'"
            self._error(display(text[:_MAX_TEXT] if self._incremental else text), self._start)
        self._message_reset()

    # -- tokens to messages

    def _token(self, kind: str, token: bytes, start: int | None, ahead: bool) -> None:
        """One token; *start* is its index in this chunk (None: `_start` holds its position)."""
        if kind == "{":
            self._braces += 1
        elif kind == "}":
            self._braces -= 1
        elif kind == "[":
            self._brackets += 1
        elif kind == "]":
            self._brackets -= 1
        if not self._swallow:
            self._tokens += 1
            self._size += len(token)
            if self._size > MAX_SIZE:
                return self._limit("JSON token size limit exceeded")
            if self._tokens > MAX_TOKENS:
                return self._limit("JSON token count limit exceeded")
            if self._braces + self._brackets > MAX_DEPTH:
                return self._limit("JSON nesting depth limit exceeded")
            if not self._failure:
                try:
                    self._assembler.push(kind, token)
                except Problem as problem:
                    self._problem(str(problem), start, ahead)
        if (self._braces > 0 or self._brackets > 0) and self._braces >= 0 and self._brackets >= 0:
            return None
        if self._failure:
            self._error(self._failure, None)
        elif not self._swallow:
            self._items.append(self._assembler.value)
        self._message_reset()
        return None

    def _problem(self, text: str, start: int | None, ahead: bool) -> None:
        text = display(text.encode("utf-8")[:_MAX_TEXT])
        if self._incremental:
            self._error(text, self._start if start is None else self._where(start, ahead))
            self._swallow = True
            self._assembler.reset()
        else:
            self._failure = text

    def _limit(self, text: str) -> None:
        self._items.append(JsonError(text))
        if not self._incremental:
            self._message_reset()
            return
        self._swallow = True
        self._assembler.reset()
        if self._braces <= 0 and self._brackets <= 0:
            self._message_reset()

    def _error(self, text: str, where: tuple[int, int] | None) -> None:
        text = "JSON parse error, " + text
        if self._incremental and where is not None:
            text = f"{where[0]}:{where[1]}: {text}"
        self._items.append(JsonError(text))

    # -- positions

    def _where(self, index: int, ahead: bool) -> tuple[int, int]:
        """Line and column of this chunk's byte *index*; *ahead*: it was seen once before as a look-ahead."""
        if not self._incremental:
            return 0, 0
        offset = self._base + index
        self._count(offset)
        return self._line, offset - self._line_start + (2 if ahead else 1)

    def _count(self, offset: int) -> None:
        """Count the line ends up to the stream *offset*, which never goes back."""
        start, stop = self._counted - self._base, offset - self._base
        found = self._chunk.count(b"\n", start, stop)
        if found:
            self._line += found
            self._line_start = self._base + self._chunk.rindex(b"\n", start, stop) + 1
        self._counted = offset
