"""Which of several members too many QEMU names (spec/monitor.md 2.2)."""

from __future__ import annotations

from collections.abc import Mapping

from qshim.monitor.json.writer import hash_order

__all__ = ["unexpected_member"]


def unexpected_member(keys: Mapping[str, object], known: Mapping[str, object]) -> str:
    """Which of the members that nobody reads is named: the first in a second hash table of QEMU's.

    Proved for up to 7 members; with more, the first in printing order.
    """
    order = hash_order(tuple(keys))
    if len(order) > 7:
        return next(key for key in order if key not in known)
    slots: dict[int, str] = {}
    for key in order:
        slot = (_djb2(key) * 11 & 0xFFFFFFFF) % 7
        step = 0
        while slot in slots:
            step += 1
            slot = (slot + step) % 8
        slots[slot] = key
    return next(slots[slot] for slot in sorted(slots) if slots[slot] not in known)


def _djb2(key: str) -> int:
    value = 5381
    for byte in key.encode():
        value = value * 33 + (byte if byte < 128 else byte - 256) & 0xFFFFFFFF
    return value
