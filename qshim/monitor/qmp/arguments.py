"""Checking the arguments of a QMP command, in QEMU's order and words (spec/monitor.md 2.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from qshim.monitor.json.writer import hash_order
from qshim.monitor.registry import CommandError

__all__ = ["Argument", "Choice", "Kind", "ListOf", "Plain", "check", "unexpected_member"]


class Plain(NamedTuple):
    """A JSON type under the name that QEMU's message gives it."""

    name: str
    """`string`, `integer` (int64), `boolean`."""

    def read(self, value: object, path: str, name: str) -> object:
        fits = {
            "string": isinstance(value, str),
            "boolean": isinstance(value, bool),
            "integer": isinstance(value, int) and not isinstance(value, bool) and value < 1 << 63,
        }[self.name]
        if not fits:
            raise CommandError(f"Invalid parameter type for '{path}', expected: {self.name}")
        return value


class Choice(NamedTuple):
    """One of a fixed set of strings."""

    values: tuple[str, ...]

    def read(self, value: object, path: str, name: str) -> object:
        Plain("string").read(value, path, name)
        if value not in self.values:
            raise CommandError(f"Parameter '{name}' does not accept value '{value}'")
        return value


class ListOf(NamedTuple):
    """A list, every element of one kind."""

    element: Kind

    def read(self, value: object, path: str, name: str) -> object:
        if not isinstance(value, list):
            raise CommandError(f"Invalid parameter type for '{path}', expected: array")
        # elements have no name of their own, which QEMU prints as null
        return [self.element.read(element, f"{path}[{i}]", "null") for i, element in enumerate(value)]


Kind = Plain | Choice | ListOf


class Argument(NamedTuple):
    """A member of a command's arguments, in schema order."""

    name: str
    kind: Kind
    optional: bool = False


def check(arguments: Mapping[str, object], expected: Sequence[Argument]) -> Mapping[str, object]:
    """The arguments as *expected* says.

    :raises CommandError: the first member, in schema order, that is missing or wrong; else a member too many.
    """
    result: dict[str, object] = {}
    for argument in expected:
        name = argument.name
        if name in arguments:
            result[name] = argument.kind.read(arguments[name], name, name)
        elif not argument.optional:
            raise CommandError(f"Parameter '{name}' is missing")
    if len(result) < len(arguments):
        raise CommandError(f"Parameter '{unexpected_member(arguments, result)}' is unexpected")
    return result


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
