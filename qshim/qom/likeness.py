"""What one emulator has otherwise than its sibling: data of two targets that differ little, stored once.

A difference is JSON: `like` names the sibling, and each member of the data that is not the same has either its
own value (`is`), or, for objects and for lists of objects with names, what is changed or new (`with`), the names
that are missing (`without`), and, for short lists that come in another order, all names (`order`). Long lists have
no order in QEMU either.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["SIBLINGS", "applied", "difference"]

SIBLINGS = {"i386": "x86_64", "arm": "aarch64", "riscv32": "riscv64"}
"""Target -> the one whose emulator is most like its own."""
_ORDERED = 200
"""How long a list may be whose order is kept."""


def difference(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """What turns *base* into *own*; both have the same members.

    >>> difference({"a": {"x": 1, "y": 2}, "b": 1}, {"a": {"x": 1, "z": 3}, "b": 1})
    {'a': {'with': {'z': 3}, 'without': ['y']}}
    """
    changes: dict[str, Any] = {}
    for name, value in own.items():
        old = base[name]
        if old == value:
            continue
        before, after = _by_name(old), _by_name(value)
        if before is None or after is None:
            changes[name] = {"is": value}
            continue
        change: dict[str, Any] = {
            "with": {key: each for key, each in after.items() if key not in before or before[key] != each},
            "without": [key for key in before if key not in after],
        }
        if isinstance(value, list) and len(value) <= _ORDERED and applied(base, {name: change})[name] != value:
            change["order"] = list(after)
        changes[name] = change
    return changes


def applied(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """*base* with *changes*: what `difference` was made of, new members of lists and objects last.

    >>> applied({"a": {"x": 1, "y": 2}, "b": 1}, {"a": {"with": {"z": 3}, "without": ["y"]}})
    {'a': {'x': 1, 'z': 3}, 'b': 1}
    """
    own = dict(base)
    for name, change in changes.items():
        if "is" in change:
            own[name] = change["is"]
            continue
        named = _by_name(base[name])
        assert named is not None, f"{name} has no names to change"
        gone = frozenset(change["without"])
        kept = {**{key: each for key, each in named.items() if key not in gone}, **change["with"]}
        if "order" in change:
            kept = {key: kept[key] for key in change["order"]}
        own[name] = list(kept.values()) if isinstance(base[name], list) else kept
    return own


def _by_name(value: object) -> dict[str, Any] | None:
    """An object, or a list of objects by their member `name` or `option`; None for anything else."""
    if isinstance(value, dict):
        return value
    for key in ("name", "option"):
        if isinstance(value, list) and all(isinstance(each, dict) and key in each for each in value):
            named = {each[key]: each for each in value}
            return named if len(named) == len(value) else None
    return None
