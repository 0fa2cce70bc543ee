"""What a QEMU binary says of itself, from the binary and from us: schema, commands, options, machines, idle answers."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from qshim import versions
from qshim.monitor.qmp.idle import IDLE
from qshim.monitor.schema import schema_of
from qshim.qom.likeness import SIBLINGS
from tests.monitor.masks import masked
from tests.support.oracle import TARGETS, needs

QUESTIONS = ("query-qmp-schema", "query-commands", "query-command-line-options", "query-machines", "query-target")
HOST = ("query-cpu-definitions",)
"""Answers that depend on what the host's processor has."""


@pytest.mark.parametrize("target", [*TARGETS, *SIBLINGS])
@pytest.mark.parametrize("dialect", versions.KNOWN)
def test_answers(converse: Callable[..., Any], vm_of: Callable[..., Any], dialect: str, target: str) -> None:
    binary = needs(dialect, target)
    known = schema_of(dialect, target).command_names()
    commands = [*QUESTIONS, *(name for name in IDLE if name in known and name not in HOST)]
    text = "".join(json.dumps({"execute": name}) + "\n" for name in ["qmp_capabilities", *commands, "quit"])
    options = [binary, "-machine", "none", "-nodefaults", "-display", "none", "-S", "-qmp", "stdio"]
    done = subprocess.run(options, input=text, capture_output=True, text=True, timeout=60, check=True)
    vm = vm_of(dialect)
    vm.target = target
    talk = converse(vm=vm)
    talk.say(b'{"execute":"qmp_capabilities"}')
    replies = [line for line in done.stdout.splitlines()[2:] if '"event"' not in line[:80]]
    for name, theirs in zip(commands, replies, strict=False):
        [ours] = talk.say(json.dumps({"execute": name}).encode())
        assert masked(name, ours) == masked(name, theirs), name


def test_an_option_alone(converse: Callable[..., Any]) -> None:
    talk = converse("10.0")
    talk.say(b'{"execute":"qmp_capabilities"}')
    ask = b'{"execute":"query-command-line-options","arguments":{"option":"%s"}}'
    assert talk.say(ask % b"numa") == ['{"return": [{"parameters": [], "option": "numa"}]}']
    assert "invalid option name: m" in talk.say(ask % b"m")[0]
