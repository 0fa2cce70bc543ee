"""Addresses, sizes and their text forms: the only place that formats hex.

Guest addresses are unsigned 64-bit; region sizes and range ends are 128-bit in QEMU, here plain
Python integers, so that a size of 2^64 and an end of 2^64 need no special case.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "GIB", "KIB", "MIB", "SPACE", "TIB", "U64_MAX", "AddrRange", "hex16", "hex_0x16", "hex_plain", "last_of",
    "size_text", "span", "up",
]  # fmt: skip

KIB, MIB, GIB, TIB = 1 << 10, 1 << 20, 1 << 30, 1 << 40
"""Bytes."""

SPACE = 1 << 64
"""Size of a whole 64-bit address space in bytes."""

U64_MAX = SPACE - 1


@dataclass(frozen=True, slots=True, order=True)
class AddrRange:
    """*size* bytes from *start*; size 0 is an empty range, start + size may exceed 2^64.

    >>> AddrRange(0x1000, 0x1000).last == 0x1fff
    True
    """

    start: int
    size: int

    def __post_init__(self) -> None:
        if self.size < 0:
            raise ValueError(f"range at {self.start:#x} has the negative size {self.size}")

    @property
    def end(self) -> int:
        """First address behind the range (exclusive)."""
        return self.start + self.size

    @property
    def last(self) -> int:
        """Last address inside; for an empty range its start, as QEMU prints it."""
        return self.start + self.size - 1 if self.size else self.start

    def __contains__(self, addr: object) -> bool:
        return isinstance(addr, int) and self.start <= addr < self.end

    def overlaps(self, other: AddrRange) -> bool:
        """Whether at least one address lies in both."""
        return self.start < other.end and other.start < self.end

    def intersection(self, other: AddrRange) -> AddrRange | None:
        """What both cover, or None when that is nothing."""
        start, end = max(self.start, other.start), min(self.end, other.end)
        return AddrRange(start, end - start) if start < end else None


def up(value: int, unit: int) -> int:
    """*value* rounded up to a multiple of *unit*.

    >>> up(5, 4)
    8
    """
    return -(-value // unit) * unit


def last_of(start: int, size: int) -> int:
    """Last address of *size* bytes at *start* as QEMU prints it: 64-bit wrap, size 0 gives *start*.

    >>> last_of(0, 1 << 64) == U64_MAX
    True
    """
    return (start + (size - 1 if size else 0)) & U64_MAX


def hex16(value: int) -> str:
    """16 zero-padded lower-case hex digits of the low 64 bits.

    >>> hex16(0xfee00000)
    '00000000fee00000'
    """
    return f"{value & U64_MAX:016x}"


def hex_0x16(value: int) -> str:
    """Like `hex16` with 0x in front, as `info ramblock` prints.

    >>> hex_0x16(4096)
    '0x0000000000001000'
    """
    return f"0x{value & U64_MAX:016x}"


def hex_plain(value: int) -> str:
    """0x and as many digits as needed, as QEMU's error texts print.

    >>> hex_plain(0x40000)
    '0x40000'
    """
    return f"{value:#x}"


def span(start: int, last: int) -> str:
    """`START-LAST`, 16 digits each: the form of every mtree line."""
    return f"{start & U64_MAX:016x}-{last & U64_MAX:016x}"


_PREFIXES = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")


def size_text(size: int) -> str:
    """A size with a binary prefix and three significant digits (spec/memory.md 5.5).

    >>> size_text(4096), size_text(2 << 20), size_text(1 << 30)
    ('4 KiB', '2 MiB', '1 GiB')
    """
    # the prefix changes where the value would need four digits: 1000, not 1024
    exponent, value = 0, float(size)
    while value >= 1000 and exponent < len(_PREFIXES) - 1:
        exponent, value = exponent + 1, value / 1024
    return f"{value:.3g} {_PREFIXES[exponent]}B"
