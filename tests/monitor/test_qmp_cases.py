"""Raw input to a QMP session and what real QEMU answered: fixtures/monitor/qmp-cases.jsonl.

Each row was sent to QEMU 7.2, 10.0 and 11.1, on a new connection to a paused machine. The rows that
need a device, a file or a migration are left out of the file.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qshim import versions

CASES = Path(__file__).parents[2] / "fixtures" / "monitor" / "qmp-cases.jsonl"
ROWS: list[dict[str, Any]] = [json.loads(line) for line in CASES.read_text(encoding="utf-8").splitlines()]
OPENING = {
    "no-negotiation": b"",
    "negotiated": b'{"execute":"qmp_capabilities"}\n',
    "negotiated-oob": b'{"execute":"qmp_capabilities","arguments":{"enable":["oob"]}}\n',
}


def the_input(row: dict[str, Any]) -> bytes:
    return base64.b64decode(row["input_b64"]) if "input_b64" in row else row["input"].encode()


@pytest.mark.parametrize("step", [0, 1, 7], ids=["whole", "bytewise", "by-7"])
@pytest.mark.parametrize("dialect", versions.KNOWN)
@pytest.mark.parametrize("row", ROWS, ids=[row["name"] for row in ROWS])
def test_replies_are_qemus(converse: Callable[..., Any], row: dict[str, Any], dialect: str, step: int) -> None:
    talk = converse(dialect)
    # rows were taken with one line in front, which positions count
    opening = OPENING[row["mode"]]
    assert talk.say(opening) == ['{"return": {}}'] * bool(opening)
    assert talk.say(the_input(row), step) == row["replies"][dialect]
