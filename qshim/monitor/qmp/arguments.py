"""Which of several members too many QEMU names (spec/monitor.md 2.2).

QEMU puts the keys of an object into a second hash table, takes out those that it reads, in the order
in which it reads them, and names the first that is left.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from qshim.monitor.qmp.keytable import KeyTable
from qshim.qom.qdict import hash_order

__all__ = ["unexpected_member"]


def unexpected_member(keys: Iterable[str], known: Mapping[str, object]) -> str:
    """Which of *keys* that nobody reads is named; *known* are those that were read, in that order."""
    table = KeyTable()
    for key in hash_order(tuple(keys)):
        table.insert(key)
    for key in known:
        table.remove(key)
    return next(iter(table))
