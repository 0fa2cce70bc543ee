"""In which order GLib's hash table of strings yields its keys: QEMU shows children of objects in that order.

Facts of GLib 2.58 and later, found by comparing with real binaries (7.2 to 11.1): the hash of a string,
the index it gets, how collisions are resolved and when the table grows.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["hash_table_order"]

_MASK = 0xFFFFFFFF
_MIN_SHIFT = 3
_PRIMES = (1, 2, 3, 7, 13, 31, 61, 127, 251, 509, 1021, 2039, 4093, 8191, 16381, 32749, 65521)


def _hash(key: str) -> int:
    value = 5381
    for byte in key.encode():
        value = (value * 33 + (byte - 256 if byte > 127 else byte)) & _MASK
    return max(value, 2)


def _place(slots: list[str | None], key: str, shift: int) -> None:
    at = (_hash(key) * 11 & _MASK) % _PRIMES[shift]
    step = 0
    while slots[at] is not None:
        step += 1
        at = (at + step) & (len(slots) - 1)
    slots[at] = key


def _grow(slots: list[str | None], shift: int) -> None:
    """Spread the keys over a larger table in place: one that moves pushes out who sits there, who moves on."""
    before = len(slots)
    slots += [None] * ((1 << shift) - before)
    settled: set[int] = set()
    for n in range(before):
        moving = slots[n]
        if moving is None or n in settled:
            continue
        slots[n] = None
        while moving is not None:
            at = (_hash(moving) * 11 & _MASK) % _PRIMES[shift]
            step = 0
            while at in settled:
                step += 1
                at = (at + step) & (len(slots) - 1)
            settled.add(at)
            slots[at], moving = moving, slots[at]


def hash_table_order(keys: Iterable[str]) -> list[str]:
    """*keys*, which were inserted in this order, as an iteration yields them.

    >>> hash_table_order(["m0", "m1", "a", "zz", "main", "n0", "n1"])
    ['zz', 'n0', 'm0', 'n1', 'a', 'm1', 'main']
    """
    shift = _MIN_SHIFT
    slots: list[str | None] = [None] * (1 << shift)
    for count, key in enumerate(keys, 1):
        _place(slots, key, shift)
        if len(slots) <= count + count // 16:
            shift = max(int(count * 1.333).bit_length(), _MIN_SHIFT)
            _grow(slots, shift)
    return [key for key in slots if key is not None]
