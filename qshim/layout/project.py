"""qshim.toml: which layouts a project has, what it allows, asserts and waives."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NoReturn

from qshim.errors import UsageError
from qshim.layout.rules import RULES, SEVERITIES, Assertion, Limits, parse_sentence
from qshim.layout.waivers import Waiver
from qshim.versions import DEFAULT, KNOWN

__all__ = ["Built", "Project", "read_project"]

_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+-")


@dataclass(frozen=True, slots=True)
class Built:
    """One layout that is checked."""

    name: str
    source: str
    """A source of DESIGN.md decision 10; files are relative to the config file."""
    qemu_version: str
    target: str
    twice: bool = False
    """It is built twice, to see whether it comes out the same."""


@dataclass(frozen=True, slots=True)
class Project:
    """A whole config file."""

    layouts: tuple[Built, ...]
    goldens: str = "layouts"
    """Directory, relative to the config file."""
    fail_on: str = "warning"
    limits: Limits = field(default_factory=Limits)
    severities: Mapping[str, str] | None = None
    assertions: tuple[Assertion, ...] = ()
    waivers: tuple[Waiver, ...] = ()


def read_project(document: Mapping[str, Any], name: str = "qshim.toml") -> Project:
    """The project that a TOML *document* describes; *name* stands in complaints.

    :raises UsageError: something is missing, unknown, or of the wrong type.
    """
    return _Reader(name).project(document)


class _Reader:
    def __init__(self, name: str) -> None:
        self.name = name

    def fail(self, what: str) -> NoReturn:
        raise UsageError(f"{self.name}: {what}")

    def project(self, top: Mapping[str, Any]) -> Project:
        self.only(top, "the file", {"goldens": str, "fail_on": str, "limits": dict, "severity": dict, "layout": list,
                                    "assert": list, "waiver": list})  # fmt: skip
        fail_on = top.get("fail_on", "warning")
        if fail_on not in SEVERITIES:
            self.fail(f"fail_on is {fail_on!r}, not one of {', '.join(SEVERITIES)}")
        limits = top.get("limits", {})
        self.only(limits, "[limits]", {"memslots": int, "address_bits": int})
        layouts = tuple(self.layout(entry) for entry in self.entries(top, "layout"))
        names = [layout.name for layout in layouts]
        twins = sorted({n for n in names if names.count(n) > 1})
        if twins:
            self.fail(f"several layouts are called {twins[0]!r}")
        if not layouts:
            self.fail("there is no [[layout]]: nothing would be checked")
        severities = top.get("severity", {})
        for rule, severity in severities.items():
            self.rule(rule, "[severity]")
            if severity not in (*SEVERITIES, "off"):
                self.fail(f"the severity of {rule} is {severity!r}, not one of {', '.join(SEVERITIES)}, off")
        return Project(
            layouts, top.get("goldens", "layouts"), fail_on, Limits(**limits), severities,
            tuple(self.assertion(entry) for entry in self.entries(top, "assert")),
            tuple(self.waiver(entry) for entry in self.entries(top, "waiver")),
        )  # fmt: skip

    def entries(self, top: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = top.get(key, [])
        for entry in entries:
            if not isinstance(entry, dict):
                self.fail(f"[[{key}]] is a table, not {entry!r}")
        return entries

    def only(self, table: Mapping[str, Any], where: str, known: Mapping[str, type]) -> None:
        for key, value in table.items():
            if key not in known:
                self.fail(f"{where} has the unknown key {key!r}; it knows {', '.join(known)}")
            if not isinstance(value, known[key]) or (known[key] is int and isinstance(value, bool)):
                words = {str: "a string", int: "a number", bool: "true or false", dict: "a table", list: "tables"}
                self.fail(f"{key} in {where} must be {words.get(known[key], 'a date')}, not {value!r}")

    def need(self, table: Mapping[str, Any], where: str, *keys: str) -> None:
        for key in keys:
            if not table.get(key):
                self.fail(f"{where} has no {key}")

    def rule(self, rule: str, where: str) -> None:
        if rule not in RULES:
            self.fail(f"{where} names the rule {rule!r}, which there is not; qshim rules lists them")

    def layout(self, entry: Mapping[str, Any]) -> Built:
        self.only(entry, "[[layout]]", {"name": str, "args": str, "source": str, "qemu_version": str, "target": str,
                                        "twice": bool})  # fmt: skip
        self.need(entry, "a [[layout]]", "name")
        name = entry["name"]
        if not set(name) <= _NAME or name.startswith("."):
            self.fail(f"the layout {name!r} cannot be the name of a file: letters, digits and ._+- are allowed")
        where = f"the layout {name!r}"
        if ("args" in entry) == ("source" in entry):
            self.fail(f"{where} needs either args (QEMU's options) or source")
        version = entry.get("qemu_version", DEFAULT.label)
        if version not in KNOWN:
            self.fail(f"{where} is of QEMU {version!r}; qshim speaks {', '.join(KNOWN)}")
        try:
            shlex.split(entry.get("args", ""))
        except ValueError as error:
            self.fail(f"the args of {where} cannot be split: {error}")
        source = entry.get("source") or f"argv:{entry['args']}"
        return Built(name, source, version, entry.get("target", "x86_64"), entry.get("twice", False))

    def assertion(self, entry: Mapping[str, Any]) -> Assertion:
        self.only(entry, "[[assert]]", {"that": str, "reason": str, "layout": str})
        self.need(entry, "an [[assert]]", "that")
        try:
            return parse_sentence(entry["that"], reason=entry.get("reason"), layouts=entry.get("layout", "*"))
        except UsageError as error:
            self.fail(str(error))

    def waiver(self, entry: Mapping[str, Any]) -> Waiver:
        self.only(entry, "[[waiver]]", {"rule": str, "object": str, "reason": str, "expires": date, "layout": str})
        self.need(entry, "a [[waiver]]", "rule", "object", "reason", "expires")
        self.rule(entry["rule"], "a [[waiver]]")
        return Waiver(entry["rule"], entry["object"], entry["reason"], entry["expires"], entry.get("layout", "*"))
