"""Which of several members too many QEMU names (spec/monitor.md 2.2).

QEMU puts the keys of an object into a second hash table, takes out those that it reads, in the order
in which it reads them, and names the first that is left. That table belongs to a library; its size,
its moves when it grows or shrinks, and the marks that removed keys leave decide the answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from qshim.monitor.json.writer import hash_order

__all__ = ["unexpected_member"]

_LEAST = 3
_PRIMES = (1, 2, 3, 7, 13, 31, 61, 127, 251, 509, 1021, 2039, 4093, 8191, 16381, 32749, 65521)
"""The modulus of a table of 2**i slots."""


def unexpected_member(keys: Iterable[str], known: Mapping[str, object]) -> str:
    """Which of *keys* that nobody reads is named; *known* are those that were read, in that order."""
    table = _Table()
    for key in hash_order(tuple(keys)):
        table.insert(key)
    for key in known:
        table.remove(key)
    return next(key for key in table.slots if isinstance(key, str))


class _Table:
    """An open hash table: each slot is None (never used), False (a key was removed), or a key."""

    def __init__(self) -> None:
        self.shift = _LEAST
        self.slots: list[str | bool | None] = [None] * (1 << _LEAST)
        self.used = 0
        """Slots that hold a key or the mark of one."""
        self.count = 0

    def first(self, key: str) -> int:
        """Where the search for *key* begins."""
        return (_djb2(key) * 11 & 0xFFFFFFFF) % _PRIMES[self.shift]

    def insert(self, key: str) -> None:
        slot, step = self.first(key), 0
        while self.slots[slot] is not None:
            step += 1
            slot = (slot + step) % len(self.slots)
        self.slots[slot] = key
        self.used += 1
        self.count += 1
        self.fit()

    def remove(self, key: str) -> None:
        self.slots[self.slots.index(key)] = False
        self.count -= 1
        self.fit()

    def fit(self) -> None:
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
