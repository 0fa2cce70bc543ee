"""Properties of /machine, and QOM types of every target, asked beside a real QEMU."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from qshim.cli.recordings import find
from qshim.monitor.json import dumps
from qshim.vm import Vm
from tests.support.oracle import needs

NAMES = (
    "smm", "boot", "smp", "suppress-vmdesc", "dump-guest-core", "mem-merge", "kernel", "append", "initrd", "dtb",
    "dumpdtb", "phandle-start", "dt-compatible", "hpet", "sata", "i8042", "pit", "smbus", "acpi", "nvdimm",
    "memory-encryption", "confidential-guest-support", "nope",
)  # fmt: skip
SETS = (
    ("suppress-vmdesc", 1), ("suppress-vmdesc", True), ("dump-guest-core", "x"), ("mem-merge", False),
    ("memory-backend", "x"), ("nope", 1),
)  # fmt: skip
UNKNOWN = "is not in the recording"


def real(binary: str, machine: str, asked: list[dict[str, Any]]) -> list[Any]:
    command = [binary, "-M", machine, "-display", "none", "-S", "-qmp", "stdio"]
    text = "\n".join(map(json.dumps, [{"execute": "qmp_capabilities"}, *asked, {"execute": "quit"}]))
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=True)
    replies = [reply for reply in map(json.loads, done.stdout.splitlines()) if "return" in reply or "error" in reply]
    return replies[1:-1]


@pytest.mark.parametrize(
    ("label", "target", "machine", "known"),
    [
        ("7.2", "x86_64", "pc-q35-7.2", 22), ("10.0", "x86_64", "pc-i440fx-10.0", 19),
        ("11.1", "x86_64", "pc-q35-11.1", 22),
        ("11.1", "x86_64", "none", 13), ("7.2", "aarch64", "virt-7.2", 13), ("11.1", "riscv64", "virt", 13),
    ],
)  # fmt: skip
def test_machine_properties(label: str, target: str, machine: str, known: int, converse: Callable[..., Any]) -> None:
    asked = [{"execute": "qom-get", "arguments": {"path": "/machine", "property": name}} for name in NAMES]
    asked += [
        {"execute": "qom-set", "arguments": {"path": "/machine", "property": name, "value": value}}
        for name, value in SETS
    ]
    asked += [{"execute": "qom-get", "arguments": {"path": "/machine", "property": name}} for name in ("mem-merge",)]
    theirs = real(needs(label, target), machine, asked)
    talk = converse(vm=Vm.from_recording(find(f"{label}/{target}/{machine}")))
    talk.say(b'{"execute":"qmp_capabilities"}')
    ours = [json.loads(talk.say(json.dumps(each).encode())[0]) for each in asked]
    rows = [
        (each["arguments"], dumps(o), dumps(t))
        for each, o, t in zip(asked, ours, theirs, strict=True)
        if UNKNOWN not in str(o)
    ]
    assert [row for row in rows if row[1] != row[2]] == []
    assert len(rows) >= known


@pytest.mark.parametrize("target", ["aarch64", "riscv64"])
def test_types(target: str, converse: Callable[..., Any]) -> None:
    names = ("virtio-net-device", "memory-backend-ram", "virt-7.2-machine", "virtio-blk-pci", "nope", "device", "e1000")
    asked: list[dict[str, Any]] = [
        {"execute": "qom-list-types", "arguments": {"implements": parent, "abstract": abstract}}
        for parent in ("cpu", "machine", "user-creatable", "nope")
        for abstract in (True, False)
    ]
    for command in ("qom-list-properties", "device-list-properties"):
        asked += [{"execute": command, "arguments": {"typename": name}} for name in names]
    theirs = real(needs("7.2", target), "none", asked)
    talk = converse(vm=Vm.from_recording(find(f"7.2/{target}/virt")))
    talk.say(b'{"execute":"qmp_capabilities"}')

    def told(reply: Any) -> str:
        value = reply.get("return")
        return dumps(sorted(value, key=dumps) if isinstance(value, list) else reply)

    for each, reply in zip(asked, theirs, strict=True):
        assert told(json.loads(talk.say(json.dumps(each).encode())[0])) == told(reply), each
