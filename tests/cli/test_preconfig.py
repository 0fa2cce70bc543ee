"""-preconfig: a drop-in whose machine waits for a monitor, as a process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from qshim.versions import KNOWN
from tests.cli.test_system import machine

TOO_LITTLE = (
    '{"execute": "qmp_capabilities"}\n'
    '{"execute": "object-add", "arguments": {"qom-type": "memory-backend-ram", "id": "m", "size": 4096}}\n'
    '{"execute": "set-numa-node", "arguments": {"type": "node", "memdev": "m"}}\n'
    '{"execute": "x-exit-preconfig"}\n'
    '{"execute": "query-name"}\n'
)


@pytest.mark.parametrize("label", KNOWN)
def test_a_machine_that_cannot_be_made_ends_it(label: str, tmp_path: Path) -> None:
    words = ("-M", "q35", "--preconfig", "-nodefaults", "-display", "none", "-qmp", "stdio")
    with machine(tmp_path, *words, version=label) as running:
        out, err = running.communicate(TOO_LITTLE, timeout=30)
    # the greeting and three replies: neither x-exit-preconfig nor what follows is answered
    assert out.splitlines()[1:] == ['{"return": {}}'] * 3
    said = "total memory for NUMA nodes (0x1000) should equal RAM size (0x8000000)"
    assert err == f"qemu-system-x86_64: {said}\n"
    assert running.returncode == 1


def test_the_human_monitor_has_few_commands_until_then(tmp_path: Path) -> None:
    words = ("-M", "q35", "-preconfig", "-nodefaults", "-display", "none", "-monitor", "stdio")
    lines = "info status\nstop\nhelp stop\nexit_preconfig\ninfo status\nexit_preconfig\nquit\n"
    with machine(tmp_path, *words, version="11.1") as running:
        out, _ = running.communicate(lines, timeout=30)
    answers = [line for line in out.splitlines() if not line.startswith(("(qemu)", "QEMU"))]
    assert answers == [
        "VM status: paused (prelaunch)",
        "Command 'stop' not available until machine initialization has completed.",
        "unknown command: 'stop'",
        "VM status: running",
        "Error: The command is permitted only before machine initialization",
    ]


def test_a_recorded_machine_waits_too(tmp_path: Path) -> None:
    code = "import sys; from qshim.cli.system import aarch64; sys.exit(aarch64())"
    words = ("-M", "raspi3b", "--preconfig", "-S", "-display", "none", "-qmp", "stdio")
    text = '{"execute": "qmp_capabilities"}{"execute": "stop"}{"execute": "x-exit-preconfig"}'
    text += '{"execute": "query-status"}{"execute": "quit"}'
    done = subprocess.run([sys.executable, "-c", code, *words], input=text, text=True, capture_output=True, timeout=60)
    said = "The command 'stop' is permitted only after machine initialization has completed"
    assert done.stdout.splitlines()[2:5] == [
        f'{{"error": {{"class": "GenericError", "desc": "{said}"}}}}',
        '{"return": {}}',
        '{"return": {"status": "prelaunch", "running": false}}',
    ]
