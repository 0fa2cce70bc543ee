"""The examples run, and leave nothing running."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.mqtt.conftest import ROOT, python_of
from tests.support.mosquitto import Mosquitto


def run(name: str, library: str, tmp_path: Path) -> str:
    """What examples/mqtt/NAME prints; its whole session has to be over."""
    venv = python_of(library).parents[1]
    Mosquitto(tmp_path)  # skips without it
    with subprocess.Popen(
        [ROOT / "examples" / "mqtt" / name], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, start_new_session=True, env={**os.environ, "QSHIM_VENV": str(venv), "TMPDIR": str(tmp_path)},
    ) as process:  # fmt: skip
        out, said = process.communicate(timeout=120)
        assert process.returncode == 0, out + said
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            assert int(fields[3]) != process.pid, f"{stat.parent.name} still runs"
    assert list(tmp_path.iterdir()) == [], "something is left behind"
    return out


def test_watch(tmp_path: Path) -> None:
    lines = [line.split() for line in run("watch.sh", "asyncio-mqtt", tmp_path).splitlines()]
    assert ["lab", "web", "prelaunch"] in [line[:3] for line in lines]


def test_two_hosts(tmp_path: Path) -> None:
    out = run("two-hosts.sh", "aiomqtt", tmp_path)
    assert "refused: pc.ram: 0x80000000 bytes are sent, the destination has 0x40000000" in out
    assert "block-max-length-changed" in out
    assert out.count("exit status 1") == 2
