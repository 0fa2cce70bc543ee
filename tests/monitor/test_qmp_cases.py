"""Raw input to a QMP session and what real QEMU answered: fixtures/monitor/qmp-cases.jsonl.xz.

Each row was sent to QEMU 7.2, 10.0 and 11.1, on a new connection to a paused PC.
"""

from __future__ import annotations

import base64
import json
import lzma
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import pytest

import qshim
from qshim import versions
from qshim.recording.format import Recording, load
from qshim.vm import Chardev, MonitorState, Vm
from tests.monitor.masks import masked

CASES = Path(__file__).parents[2] / "fixtures" / "monitor" / "qmp-cases.jsonl.xz"
ROWS: list[dict[str, Any]] = [
    json.loads(line) for line in lzma.decompress(CASES.read_bytes()).decode("utf-8").splitlines()
]
MACHINES = Path(qshim.__file__).parent / "data" / "recordings"
OPENING = {
    "no-negotiation": b"",
    "negotiated": b'{"execute":"qmp_capabilities"}\n',
    "negotiated-oob": b'{"execute":"qmp_capabilities","arguments":{"enable":["oob"]}}\n',
}


class Nowhere:
    """Takes what is written, and keeps nothing."""

    def may_write(self, path: str) -> str | None:
        return None

    def unreadable(self, path: str) -> str | None:
        return "No such file or directory"

    def create(self, path: str, mode: int) -> BinaryIO:
        return open(os.devnull, "wb")

    def fdopen(self, fd: int) -> BinaryIO:
        return open(fd, "wb")


@cache
def the_pc(dialect: str) -> Recording:
    return load(MACHINES / dialect / "x86_64" / f"pc-i440fx-{dialect}.qrec.xz")


def the_input(row: dict[str, Any]) -> bytes:
    return base64.b64decode(row["input_b64"]) if "input_b64" in row else row["input"].encode()


@pytest.mark.parametrize("step", [0, 1, 7], ids=["whole", "bytewise", "by-7"])
@pytest.mark.parametrize("dialect", versions.KNOWN)
@pytest.mark.parametrize("row", ROWS, ids=[row["name"] for row in ROWS])
def test_replies_are_qemus(converse: Callable[..., Any], row: dict[str, Any], dialect: str, step: int) -> None:
    vm = Vm.from_recording(the_pc(dialect), later=True)
    vm.files = Nowhere()
    vm.chardevs["compat_monitor0"] = Chardev("compat_monitor0", "unix:/run/q,server=on")
    vm.monitors["compat_monitor0"] = MonitorState("compat_monitor0", control=True)
    talk = converse(vm=vm)
    # rows were taken with one line in front, which positions count
    opening = OPENING[row["mode"]]
    assert talk.say(opening) == ['{"return": {}}'] * bool(opening)
    replies = [masked("", line) for line in talk.say(the_input(row), step)]
    assert replies == [masked("", line) for line in row["replies"][dialect]]
