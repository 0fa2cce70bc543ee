"""Arguments of every command, right and wrong, checked by real QEMU and by us.

Every request has one argument too many, so that neither carries anything out: what comes back is what
the check of the arguments says, down to the extra one.
"""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from qshim import versions
from qshim.monitor.schema import Schema, schema_of
from tests.support.oracle import TARGETS, needs

OWN_CHECKS = ("device_add", "qmp_capabilities")
"""Commands that look at their arguments by themselves."""

ROUNDS = 6
"""Requests for each command."""

ODD: list[Any] = [
    None, True, 0, -1, 1.5, 1.0, 255, 256, 65536, 1 << 31, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, 1 << 64,
    -(1 << 31) - 1, -(1 << 63), "", "x", "reset", [], [1], ["x"], [None], [[]], {}, {"x": 1}, {"type": "x"},
]  # fmt: skip


class Guess:
    """Makes values that mostly fit a type of the schema."""

    def __init__(self, schema: Schema, rng: random.Random) -> None:
        self.schema = schema
        self.rng = rng

    def value(self, name: str, depth: int = 0) -> Any:
        entity = self.schema.types[name]
        rng = self.rng
        if rng.random() < 0.08:
            return rng.choice(ODD)
        meta = entity["meta-type"]
        if meta == "array":
            return [self.value(entity["element-type"], depth + 1) for _ in range(rng.choice([0, 1, 1, 2]))]
        if meta == "enum":
            return rng.choice(entity["values"])
        if meta == "alternate":
            branches = [b["type"] for b in entity["members"]]
            return self.value(branches[1] if depth > 6 and len(branches) > 1 else rng.choice(branches), depth + 1)
        if meta == "object":
            return self.members(entity, depth)
        plain = {"string": "x", "boolean": True, "number": rng.choice([1, 0.5]), "null": None}
        return rng.choice([0, 1, 200, 4096]) if name == "int" else plain.get(entity["json-type"], 7)

    def members(self, entity: Mapping[str, Any], depth: int) -> dict[str, Any]:
        value: dict[str, Any] = {}
        for member in entity["members"]:
            needed = "default" not in member
            if self.rng.random() < (0.96 if needed else 0.3 if depth < 5 else 0.05):
                value[member["name"]] = self.value(member["type"], depth + 1)
        if "tag" in entity and isinstance(value.get(entity["tag"]), str):
            for variant in entity["variants"]:
                if variant["case"] == value[entity["tag"]]:
                    value.update(self.members(self.schema.types[variant["type"]], depth))
        if self.rng.random() < 0.05:
            value[self.rng.choice(["bogus", "id", "size", "Type"])] = self.rng.choice(ODD)
        return value


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dialect", versions.KNOWN)
def test_arguments(converse: Callable[..., Any], vm_of: Callable[..., Any], dialect: str, target: str) -> None:
    binary = needs(dialect, target)
    schema = schema_of(dialect, target)
    guess = Guess(schema, random.Random(f"{dialect} {target}"))
    requests = []
    for command in schema.command_names():
        if command not in OWN_CHECKS:
            entity = schema.types[schema.types[command]["arg-type"]]
            for _ in range(ROUNDS):
                requests.append({"execute": command, "arguments": {**guess.members(entity, 0), "zzz": 1}})
    said = [{"execute": "qmp_capabilities"}, *requests, {"execute": "quit"}]
    text = "".join(json.dumps(request) + "\n" for request in said)
    options = [binary, "-machine", "none", "-nodefaults", "-display", "none", "-S", "-qmp", "stdio"]
    done = subprocess.run(options, input=text, capture_output=True, text=True, timeout=120, check=True)
    theirs = done.stdout.splitlines()[2:]
    vm = vm_of(dialect)
    vm.target = target
    talk = converse(vm=vm)
    talk.say(b'{"execute":"qmp_capabilities"}')
    for request, expected in zip(requests, theirs, strict=False):
        assert talk.say(json.dumps(request).encode()) == [expected], request
    assert len(theirs) >= len(requests)
