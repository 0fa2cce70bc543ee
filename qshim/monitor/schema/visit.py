"""Checking a command's arguments as QEMU's input visitor does, in its order and words (spec/monitor.md 2.2).

Each type of the schema becomes a function (value, path, name) -> value. The path is the full dotted
one; the name is the member's own, which is what QEMU prints in messages about ranges and enums, and
`null` for elements of lists.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from qshim.monitor.qmp.arguments import unexpected_member
from qshim.monitor.registry import CommandError

__all__ = ["Visitor", "compiled"]

Entity = Mapping[str, Any]
Read = Callable[[Any, str, str], object]

_DEEP = 40_000
"""Python frames that 1024 levels of nesting never reach."""


class Visitor:
    """Checks the arguments of one command."""

    __slots__ = ("_read", "none_needed")

    def __init__(self, read: Read, none_needed: bool) -> None:
        self._read = read
        self.none_needed = none_needed
        """No argument is mandatory."""

    def check(self, arguments: Mapping[str, object]) -> Mapping[str, object]:
        """The arguments as the command takes them: negative values of unsigned types as their complement.

        :raises CommandError: what QEMU says about the first that is missing or wrong, then about one too many.
        """
        if not arguments and self.none_needed:
            return arguments
        try:
            return self._read(arguments, "", "")  # type: ignore[return-value]
        except RecursionError:
            limit = sys.getrecursionlimit()
            sys.setrecursionlimit(_DEEP)
            try:
                return self._read(arguments, "", "")  # type: ignore[return-value]
            finally:
                sys.setrecursionlimit(limit)


def compiled(
    types: Mapping[str, Entity], widths: Mapping[str, Mapping[str, str]], alternates: Mapping[str, str], name: str
) -> Visitor:
    """The visitor of a command whose arguments are of the object type *name*.

    *widths*: of integers that are not int64, by object type and member. *alternates*: their names in messages.
    """
    members = types[name]["members"]
    return Visitor(_Compiler(types, widths, alternates).object(name), all("default" in m for m in members))


def _wrong(path: str, expected: str) -> CommandError:
    return CommandError(f"Invalid parameter type for '{path}', expected: {expected}")


class _Compiler:
    def __init__(
        self, types: Mapping[str, Entity], widths: Mapping[str, Mapping[str, str]], alternates: Mapping[str, str]
    ) -> None:
        self.types = types
        self.widths = widths
        self.alternates = alternates
        self.objects: dict[str, Read] = {}

    def of(self, name: str, width: str) -> Read:
        """The check of type *name*; *width* is that of the integers in it."""
        entity = self.types[name]
        meta = entity["meta-type"]
        if meta == "object":
            return self.object(name)
        if meta == "array":
            return _array(self.of(entity["element-type"], width))
        if meta == "enum":
            return _enum(frozenset(entity["values"]))
        if meta == "alternate":
            return self.alternate(entity)
        if name == "int":
            return _integer(width)
        return _BUILTINS[name]

    def object(self, name: str) -> Read:
        """The check of an object type; made when it is first needed, since types contain themselves."""
        if name not in self.objects:
            self.objects[name] = _object(self, self.types[name])
        return self.objects[name]

    def members(self, entity: Entity) -> list[tuple[str, Read, bool]]:
        """(name, check, mandatory) of the members of *entity*, without variants."""
        widths = self.widths.get(entity["name"], {})
        return [
            (m["name"], self.of(m["type"], widths.get(m["name"], "int64")), "default" not in m)
            for m in entity["members"]
        ]

    def alternate(self, entity: Entity) -> Read:
        branches: dict[type, Read] = {}
        for branch in entity["members"]:
            meta = self.types[branch["type"]]["meta-type"]
            kind = {"object": dict, "enum": str, "array": list}.get(meta) or _KINDS[branch["type"]]
            branches[kind] = self.of(branch["type"], "int64")
        called = self.alternates.get(entity["name"], entity["name"])

        def read(value: object, path: str, name: str) -> object:
            branch = branches.get(type(value))
            if branch is None:
                raise _wrong(name, called)
            return branch(value, path, name)

        return read


def _object(compiler: _Compiler, entity: Entity) -> Read:
    visit = _members(compiler, entity)

    def read(value: object, path: str, name: str) -> object:
        if not isinstance(value, dict):
            if not isinstance(value, Mapping):
                raise _wrong(path, "object")
            value = dict(value)
        at = path + "." if path else ""
        out: dict[str, object] = {}
        visit(value, at, out)
        if len(out) < len(value):
            raise CommandError(f"Parameter '{at}{unexpected_member(value, out)}' is unexpected")
        return out

    return read


def _members(compiler: _Compiler, entity: Entity) -> Callable[[Mapping[str, Any], str, dict[str, object]], None]:
    """Reads the members of *entity* from an object, then those of the variant that its tag names."""
    members: list[tuple[str, Read, bool]] | None = None
    variants: dict[str, Callable[[Mapping[str, Any], str, dict[str, object]], None]] = {}
    tag: str | None = entity.get("tag")
    cases = {v["case"]: v["type"] for v in entity.get("variants", ())}

    def visit(value: Mapping[str, Any], at: str, out: dict[str, object]) -> None:
        nonlocal members
        if members is None:
            members = compiler.members(entity)
        for name, check, mandatory in members:
            if name in value:
                out[name] = check(value[name], at + name, name)
            elif mandatory:
                raise CommandError(f"Parameter '{at}{name}' is missing")
        if tag is not None:
            case = str(out[tag])
            if case not in variants:
                variants[case] = _members(compiler, compiler.types[cases[case]])
            variants[case](value, at, out)

    return visit


def _array(element: Read) -> Read:
    def read(value: object, path: str, name: str) -> object:
        if not isinstance(value, list):
            raise _wrong(path, "array")
        return [element(each, f"{path}[{i}]", "null") for i, each in enumerate(value)]

    return read


def _enum(values: frozenset[str]) -> Read:
    def read(value: object, path: str, name: str) -> object:
        if not isinstance(value, str):
            raise _wrong(path, "string")
        if value not in values:
            raise CommandError(f"Parameter '{name}' does not accept value '{value}'")
        return value

    return read


def _integer(width: str) -> Read:
    bits = int(width.lstrip("uint"))
    if width.startswith("u"):

        def unsigned(value: object, path: str, name: str) -> object:
            if type(value) is not int or not -(1 << 63) <= value < 1 << 64:
                raise CommandError(f"Parameter '{path}' expects uint64")
            value &= (1 << 64) - 1
            if value >> bits:
                raise CommandError(f"Parameter '{name}' expects {width}_t")
            return value

        return unsigned
    half = 1 << bits - 1

    def signed(value: object, path: str, name: str) -> object:
        if type(value) is not int or not -(1 << 63) <= value < 1 << 63:
            raise _wrong(path, "integer")
        if not -half <= value < half:
            raise CommandError(f"Parameter '{name}' expects {width}_t")
        return value

    return signed


def _plain(kinds: tuple[type, ...], word: str) -> Read:
    def read(value: object, path: str, name: str) -> object:
        if type(value) not in kinds:
            raise _wrong(path, word)
        return value

    return read


_KINDS: Mapping[str, type] = {"str": str, "null": type(None), "bool": bool, "int": int, "number": float}
_BUILTINS: Mapping[str, Read] = {
    "str": _plain((str,), "string"),
    "bool": _plain((bool,), "boolean"),
    "number": _plain((int, float), "number"),
    "null": _plain((type(None),), "null"),
    "any": lambda value, path, name: value,
}
