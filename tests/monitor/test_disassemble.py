"""Random instructions, and where a listing ends, from a real QEMU and from our drop-in with the same firmware."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.oracle import needs

BOARDS = {
    "x86": ("x86_64", "q35", (), 0xE0000, 0xFFFE0000),
    "a32": ("aarch64", "virt", ("-cpu", "cortex-a15"), 0, 0),
    "a64": ("aarch64", "virt", ("-cpu", "cortex-a57"), 0, 0),
}
"""Name -> target, machine, options, and two places where the firmware is."""
OLD = "7.2"
"""Its package has an older capstone, with other opinions of what is no instruction: random bytes tell nothing."""
PLAIN = {"x86": bytes.fromhex("90b83412"), "a32": bytes.fromhex("0000a0e1"), "a64": bytes.fromhex("1f2003d5")}
_RAM = {"x86_64": 64 << 20, "aarch64": (1 << 30) + (64 << 20)}
"""Where 64 MiB of RAM end."""


def answers(command: Sequence[str], lines: Sequence[str], label: str = "") -> list[str]:
    requests = [{"execute": "qmp_capabilities"}]
    requests += [{"execute": "human-monitor-command", "arguments": {"command-line": line}} for line in lines]  # type: ignore[dict-item]
    text = "".join(json.dumps(request) + "\n" for request in [*requests, {"execute": "quit"}])
    done = subprocess.run(
        [*command, "-m", "64", "-nodefaults", "-display", "none", "-S", "-qmp", "stdio"], input=text,
        capture_output=True, text=True, timeout=120, check=True, env={**os.environ, "QSHIM_QEMU_VERSION": label},
    )  # fmt: skip
    replies = [json.loads(line) for line in done.stdout.splitlines()]
    return [reply["return"] for reply in replies if isinstance(reply.get("return"), str)]


@pytest.mark.parametrize("label", ["7.2", "10.0", "11.1"])
@pytest.mark.parametrize("board", BOARDS)
def test_instructions_as_real_qemu(board: str, label: str, tmp_path: Path) -> None:
    target, machine, options, low, high = BOARDS[board]
    binary = needs(label, target)
    rng = random.Random(f"{board} {label}")
    firmware = tmp_path / "firmware"
    size = 128 << 10
    firmware.write_bytes(rng.randbytes(size) if label != OLD else PLAIN[board] * (size // 4))
    end = _RAM[target]
    lines = [f"x/2000i {low:#x}", f"xp/500i {high + rng.randrange(1000) // 4 * 4:#x}", f"x/5i {high + 4092:#x}"]
    # instructions in front of what cannot be read, at every distance that matters
    lines += [f"{rng.choice(['x', 'xp'])}/40i {end - distance:#x}" for distance in range(-8, 80, 4)]
    lines += ["xp/0i 0x1000", "xp/-1i 0x1000"] if target == "x86_64" else []
    given = ["-M", machine, *options, "-bios", str(firmware)]
    code = f"import sys; from qshim.cli.system import {target}; sys.exit({target}())"
    ours = answers([sys.executable, "-c", code, *given], lines, label)
    theirs = answers([binary, *given], lines)
    assert len(theirs) == len(lines)
    for line, mine, wanted in zip(lines, ours, theirs, strict=True):
        if label == OLD and board == "a64":
            # its library does not know the instruction that zeros are
            mine, wanted = (re.sub(r"(?m)^(0x\w+:  00000000).*$", r"\1", text) for text in (mine, wanted))
        assert mine == wanted, line
