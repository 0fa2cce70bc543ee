"""Memory backends made and removed at random, on a real QEMU and on the recording of the same machine.

After each step both show their RAM blocks, so that offsets, order and names are compared, too.
"""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qshim import versions
from qshim.recording.format import load
from qshim.vm import Vm
from tests.monitor.masks import masked
from tests.support.oracle import needs

RECORDINGS = Path(__file__).parents[2] / "fixtures" / "monitor" / "recordings"
STEPS = 120
MACHINE = ["-nodefaults", "-display", "none", "-S", "-machine", "q35", "-m", "256", "-qmp", "stdio"]
SIZES = (1, 4096, 4097, 65536, 262144 + 1, 1 << 20, 3 << 20, 64 << 20, 128 << 20, 0)
"""Bytes; small ones, because the host of a real QEMU has to have them."""
IDS = ("a", "b", "c", "d", "e", "f", "pc.ram", "1x", "a b", "")


def requests(rng: random.Random) -> list[tuple[str, dict[str, Any]]]:
    """Steps, most of which can be done."""
    steps: list[tuple[str, dict[str, Any]]] = []
    for _ in range(STEPS):
        name = rng.choice(IDS)
        if rng.random() < 0.4:
            steps.append(("object-del", {"id": name}))
        else:
            made: dict[str, Any] = {"qom-type": "memory-backend-ram", "id": name, "size": rng.choice(SIZES)}
            for member, values in (
                ("share", (True, False)), ("merge", (True, False)), ("dump", (True, False)), ("reserve", (True, False)),
                ("prealloc-threads", (0, 1, 4)), ("policy", ("default", "bind", "preferred")),
                ("host-nodes", ([], [0], [0, 0], [900])), ("x-use-canonical-path-for-ramblock-id", (True, False)),
            ):  # fmt: skip
                if rng.random() < 0.15:
                    made[member] = rng.choice(values)
            steps.append(("object-add", made))
        steps += [("x-query-ramblock", {}), ("query-memdev", {}), ("query-iothreads", {})]
    return steps


@pytest.mark.parametrize("dialect", versions.KNOWN)
def test_backends(converse: Callable[..., Any], dialect: str) -> None:
    binary = needs(dialect, "x86_64")
    steps = requests(random.Random(dialect))
    lines = [json.dumps({"execute": name, "arguments": arguments}) for name, arguments in steps]
    text = '{"execute":"qmp_capabilities"}\n' + "\n".join(lines) + '\n{"execute":"quit"}\n'
    done = subprocess.run([binary, *MACHINE], input=text, capture_output=True, text=True, timeout=60, check=True)
    theirs = done.stdout.splitlines()[2:]
    talk = converse(vm=Vm.from_recording(load(RECORDINGS / f"q35-{dialect}.qrec.xz")))
    talk.say(b'{"execute":"qmp_capabilities"}')
    for (name, _), line, expected in zip(steps, lines, theirs, strict=False):
        [ours] = talk.say(line.encode())
        assert masked(name, ours) == masked(name, expected), line
    assert len(theirs) >= len(steps)
