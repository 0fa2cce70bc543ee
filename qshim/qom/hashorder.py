"""In which order GLib's hash table of strings yields its keys: QEMU shows children of objects in that order.

Facts of GLib 2.58 and later, found by comparing with real binaries (7.2 to 11.1): the hash of a string,
the index it gets, how collisions are resolved and when the table grows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

__all__ = ["HashTable", "hash_table_order"]

_MASK = 0xFFFFFFFF
_MIN_SHIFT = 3
_PRIMES = (1, 2, 3, 7, 13, 31, 61, 127, 251, 509, 1021, 2039, 4093, 8191, 16381, 32749, 65521)


def _hash(key: str) -> int:
    value = 5381
    for byte in key.encode():
        value = (value * 33 + (byte - 256 if byte > 127 else byte)) & _MASK
    return max(value, 2)


_GONE = ""
"""Where a key was that has been removed; no key is empty."""


class HashTable:
    """Keys of a GLib hash table, in the places that its history of insertions and removals gives them."""

    def __init__(self, keys: Iterable[str] = ()) -> None:
        self._slots: list[str | None] = [None] * (1 << _MIN_SHIFT)
        self._shift = _MIN_SHIFT
        self._occupied = 0
        for key in keys:
            self.insert(key)

    def __iter__(self) -> Iterator[str]:
        return (key for key in self._slots if key)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def insert(self, key: str) -> None:
        """Add *key*, which is not there yet."""
        slots = self._slots
        at = (_hash(key) * 11 & _MASK) % _PRIMES[self._shift]
        step, free = 0, -1
        while (there := slots[at]) is not None:
            if there == _GONE and free < 0:
                free = at
            step += 1
            at = (at + step) & (len(slots) - 1)
        if free >= 0:
            slots[free] = key
            return
        slots[at] = key
        self._occupied += 1
        self._resize()

    def remove(self, key: str) -> None:
        """Take *key* out; a key that is not there is ignored."""
        if key in self._slots:
            self._slots[self._slots.index(key)] = _GONE
            self._resize()

    def _resize(self) -> None:
        size, count = len(self._slots), len(self)
        sparse = size > count * 4 and size > 1 << _MIN_SHIFT
        if not sparse and size > self._occupied + self._occupied // 16:
            return
        self._shift = max(int(count * 1.333).bit_length(), _MIN_SHIFT)
        self._occupied = count
        self._relocate(1 << self._shift)

    def _relocate(self, size: int) -> None:
        """Move every key to its place among *size*, in place: one that stands there already moves on next."""
        old = len(self._slots)
        slots = self._slots = self._slots + [None] * max(size - old, 0)
        moved: set[int] = set()
        for start in range(old):
            key = slots[start]
            if start in moved:
                continue
            slots[start] = None
            while key:
                at = (_hash(key) * 11 & _MASK) % _PRIMES[self._shift]
                step = 0
                while at in moved:
                    step += 1
                    at = (at + step) & (size - 1)
                moved.add(at)
                slots[at], key = key, slots[at]
        del slots[size:]


def hash_table_order(keys: Iterable[str]) -> list[str]:
    """*keys*, which were inserted in this order, as an iteration yields them.

    >>> hash_table_order(["m0", "m1", "a", "zz", "main", "n0", "n1"])
    ['zz', 'n0', 'm0', 'n1', 'a', 'm1', 'main']
    """
    return list(HashTable(keys))
