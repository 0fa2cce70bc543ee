"""The hash table of a library that QEMU uses for properties and arguments, as far as its order shows.

Its size, its moves when it grows or shrinks, and the marks that removed keys leave decide in which
order its keys come out (found with real QEMUs; tests/monitor/test_schema_against_qemu.py holds it to them).
"""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["KeyTable"]

_LEAST = 3
_PRIMES = (1, 2, 3, 7, 13, 31, 61, 127, 251, 509, 1021, 2039, 4093, 8191, 16381, 32749, 65521)
"""The modulus of a table of 2**i slots."""


class KeyTable:
    """An open hash table: each slot is None (never used), False (a key was removed), or a key."""

    def __init__(self) -> None:
        self.shift = _LEAST
        self.slots: list[str | bool | None] = [None] * (1 << _LEAST)
        self.used = 0
        """Slots that hold a key or the mark of one."""
        self.count = 0

    def __iter__(self) -> Iterator[str]:
        """The keys in the order of their slots."""
        return (key for key in self.slots if isinstance(key, str))

    def first(self, key: str) -> int:
        """Where the search for *key* begins."""
        return (_djb2(key) * 11 & 0xFFFFFFFF) % _PRIMES[self.shift]

    def insert(self, key: str) -> None:
        """Add *key*, which is not there yet."""
        slot, step = self.first(key), 0
        while self.slots[slot] is not None:
            step += 1
            slot = (slot + step) % len(self.slots)
        self.slots[slot] = key
        self.used += 1
        self.count += 1
        self.fit()

    def remove(self, key: str) -> None:
        """Take *key* out, which is there."""
        self.slots[self.slots.index(key)] = False
        self.count -= 1
        self.fit()

    def fit(self) -> None:
        """Resize where the library would."""
        size = len(self.slots)
        if (size > self.count * 4 and size > 1 << _LEAST) or size <= self.used + self.used // 16:
            self.resize()

    def resize(self) -> None:
        """Every key moves to where the new size puts it, pushing out keys that have not moved yet."""
        old = len(self.slots)
        self.shift = max(_LEAST, int(self.count * 1.333).bit_length())
        size = 1 << self.shift
        slots = self.slots
        slots += [None] * (size - old)
        moved = [False] * len(slots)
        for at in range(old):
            key = slots[at]
            if moved[at]:
                continue
            slots[at] = None
            while isinstance(key, str):
                slot, step = self.first(key), 0
                while moved[slot]:
                    step += 1
                    slot = (slot + step) % size
                moved[slot] = True
                key, slots[slot] = slots[slot], key
        del slots[size:]
        self.used = self.count


def _djb2(key: str) -> int:
    value = 5381
    for byte in key.encode("utf-8", "surrogatepass"):
        value = value * 33 + (byte if byte < 128 else byte - 256) & 0xFFFFFFFF
    return value
