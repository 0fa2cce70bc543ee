"""String tokens of QEMU's JSON dialect, and bytes that claim to be UTF-8 (spec/monitor.md 1.6)."""

from __future__ import annotations

import re

__all__ = ["Problem", "decode_string", "display", "is_noncharacter"]

_SIMPLE_ESCAPES = {ord(char): meaning for char, meaning in zip("bfnrt\"'\\/", "\b\f\n\r\t\"'\\/", strict=True)}
_HEX4 = re.compile(rb"[0-9a-fA-F]{4}")
_PLAIN = re.compile(rb"[^\\\x80-\xff]+")
_SMALLEST = {2: 0x80, 3: 0x800, 4: 0x10000, 5: 0x200000, 6: 0x4000000}


class Problem(Exception):
    """What is wrong with a token, in QEMU's words without the `JSON parse error, ` in front."""


def is_noncharacter(code: int) -> bool:
    """Whether Unicode reserves *code* for ever: U+FDD0 to U+FDEF and the last two of each plane."""
    return 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE


def _code_point(data: bytes, at: int) -> tuple[int, int]:
    """The code point that starts at *at* (-1: not modified UTF-8) and the index behind what it used up.

    Modified UTF-8: C0 80 stands for U+0000, otherwise only shortest forms, no surrogates, no
    noncharacters. A broken sequence uses its lead byte and the continuation bytes that are there.
    """
    lead = data[at]
    at += 1
    if lead < 0x80:
        return lead, at
    if lead < 0xC0 or lead >= 0xFE:
        return -1, at
    length = 8 - (lead ^ 0xFF).bit_length()
    code = lead & (0x7F >> length)
    for _ in range(length - 1):
        if at >= len(data) or data[at] & 0xC0 != 0x80:
            return -1, at
        code = code << 6 | data[at] & 0x3F
        at += 1
    shortest = code >= _SMALLEST[length] or (code == 0 and length == 2)
    if not shortest or code > 0x10FFFF or 0xD800 <= code <= 0xDFFF or is_noncharacter(code):
        return -1, at
    return code, at


def display(data: bytes) -> str:
    """*data* as QEMU shows it in a message: each sequence that is not UTF-8 becomes U+FFFD.

    >>> display(b'"caf\\xe9') == '"caf\\ufffd'
    True
    """
    if data.isascii():
        return data.decode("ascii")
    out: list[str] = []
    at = 0
    while at < len(data):
        code, at = _code_point(data, at)
        out.append(chr(code) if code >= 0 else "\ufffd")
    return "".join(out)


def decode_string(token: bytes) -> str:
    """The value of a string token, quotes included in *token*.

    :raises Problem: a bad escape, an impossible code point, or bytes that are not modified UTF-8.
    """
    if b"\\" not in token:
        try:
            text = token[1:-1].decode("utf-8")
        except UnicodeDecodeError:
            return _decode_slowly(token)
        # noncharacters are all above U+FDCF
        if token.isascii() or max(text) < "\ufdd0":
            return text
    return _decode_slowly(token)


def _decode_slowly(token: bytes) -> str:
    out: list[str] = []
    at, end = 1, len(token) - 1
    while at < end:
        byte = token[at]
        if byte == 0x5C:
            at = _escape(token, at, out)
        elif byte < 0x80:
            # one piece up to the next byte that needs care
            piece = _PLAIN.match(token, at, end)
            assert piece is not None
            out.append(piece[0].decode("ascii"))
            at = piece.end()
        else:
            code, at = _code_point(token, at)
            if code < 0:
                raise Problem("invalid UTF-8 sequence in string")
            out.append(chr(code))
    return "".join(out)


def _escape(token: bytes, at: int, out: list[str]) -> int:
    """Append what the escape at *at* (a backslash) means; the index behind it."""
    kind = token[at + 1]
    if kind != 0x75:
        simple = _SIMPLE_ESCAPES.get(kind)
        if simple is None:
            raise Problem("invalid escape sequence in string")
        out.append(simple)
        return at + 2
    code = _hex4(token, at + 2)
    after = at + 6
    if code is not None and 0xD800 <= code <= 0xDBFF and token[after : after + 2] == b"\\u":
        low = _hex4(token, after + 2)
        if low is not None and 0xDC00 <= low <= 0xDFFF:
            code = 0x10000 + ((code & 0x3FF) << 10 | low & 0x3FF)
            after += 6
    if code is None or 0xD800 <= code <= 0xDFFF or is_noncharacter(code):
        raise Problem(f"{display(token[at : at + 6])} is not a valid Unicode character")
    out.append(chr(code))
    return after


def _hex4(token: bytes, at: int) -> int | None:
    return int(token[at : at + 4], 16) if _HEX4.match(token, at) else None
