"""On every recorded machine the human monitor prints what the real one printed, from our model of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from qshim.monitor.hmp.line import run
from qshim.recording.format import load
from qshim.vm import Vm

RECORDINGS = sorted((Path(__file__).parents[2] / "fixtures" / "recordings").glob("*/*.qrec.xz"))
COMMANDS = ("info memdev", "info memory-devices", "info memory_size_summary", "info cpus", "info numa", "info roms",
            "info pci", "info qtree", "info qom-tree", "info qom-tree /objects")  # fmt: skip


def masked(command: str, text: str) -> object:
    if command == "info memdev":
        return sorted(part.strip() for part in text.split("memory backend: "))
    return re.sub(r"thread_id=\d+", "thread_id=N", text)


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda p: f"{p.parent.name}-{p.name.removesuffix('.qrec.xz')}")
def test_views_of_recorded_machines(path: Path) -> None:
    recording = load(path)
    vm = Vm.from_recording(recording)
    for command in COMMANDS:
        wanted = recording.text(command)
        if wanted is not None:
            assert masked(command, run(vm, command).replace("\r\n", "\n")) == masked(command, wanted), command
