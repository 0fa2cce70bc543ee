"""In which order QEMU walks the members of an object or the properties of an option (spec/monitor.md 1.1)."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["bucket", "hash_order"]


def bucket(key: str) -> int:
    """The slot, 0 to 511, of *key* in QEMU's object hash table.

    >>> bucket("return"), bucket("id"), bucket("error")
    (401, 486, 489)
    """
    data = key.encode("utf-8", "surrogatepass")
    value = 0x238F13AF * len(data)
    for i, byte in enumerate(data):
        value += byte << (5 * i % 24)
    return (1103515243 * value + 12345 & 0xFFFFFFFF) % 512


def hash_order(keys: Sequence[str]) -> tuple[str, ...]:
    """*keys*, given in order of insertion, in the order of QEMU's table: by slot, latest first inside one.

    >>> hash_order(("event", "data", "timestamp"))
    ('timestamp', 'event', 'data')
    """
    return tuple(key for _, _, key in sorted((bucket(key), -i, key) for i, key in enumerate(keys)))
