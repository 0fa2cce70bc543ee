"""Every line of hmp-cases.jsonl, typed in order at our machine, prints what real QEMU printed (spec/monitor.md 5).

The machine is the recording of the one that those lines were typed at, with the few bytes of firmware that
they read. Of a line that occurs twice the file keeps the last answer. What does not agree is listed, with the
reason, in hmp-cases-differ.json; a listed line that agrees is a failure, too.
"""

from __future__ import annotations

import json
import lzma
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from qshim import versions
from qshim.edge.files import HostFiles
from qshim.layout.canonical import canonical
from qshim.memory.access import write_rom
from qshim.monitor.hmp.line import run
from qshim.monitor.memory_ops import system
from qshim.qom import QomObject
from qshim.recording.format import load
from qshim.vm import Chardev, Vm

HERE = Path(__file__).parents[2] / "fixtures" / "monitor" / "hmp"
LINES = 374
AGREE = {"7.2": 340, "10.0": 339, "11.1": 335}
"""How many lines agree with real QEMU."""

FIRMWARE = {0xFFFF0: "ea5be000f030362f32332f393900fc00", 0xFE000: "0050325000910000"}
"""What the firmware has where lines look."""


@cache
def cases() -> tuple[dict[str, Any], ...]:
    text = lzma.decompress((HERE / "hmp-cases.jsonl.xz").read_bytes()).decode()
    # somebody may have a file of that name after all
    text = text.replace("/nonexistent", "/nonexisting")
    return tuple(json.loads(line) for line in text.splitlines())


@cache
def differ() -> dict[str, dict[str, Any]]:
    """Line -> reason and versions."""
    listed: list[dict[str, Any]] = json.loads((HERE / "hmp-cases-differ.json").read_text())
    return {line: each for each in listed for line in each["lines"]}


@cache
def answers(dialect: str, folder: str) -> dict[str, str]:
    """What each line prints on our machine."""
    vm = Vm.from_recording(load(HERE / f"q35-{dialect}.qrec.xz"))
    vm.files = HostFiles(None)
    vm.chardevs["compat_monitor0"] = Chardev("compat_monitor0", "unix:/run/vm/q,server=on")
    space = system(vm)
    assert space is not None
    for addr, data in FIRMWARE.items():
        write_rom(space, addr, bytes.fromhex(data))
    if dialect == "11.1":
        # there monitors are objects; whoever serves a machine enters them
        objects = vm.qom.child("objects") if vm.qom is not None else None
        assert objects is not None
        objects.add_child("compat_monitor0", QomObject("monitor-qmp"))
        objects.add_child("compat_monitor1", QomObject("monitor-hmp"))
    # the directory of the file's memsave is that of the test
    return {
        case["line"]: run(vm, case["line"].replace("/tmp/out", folder)).replace(folder, "/tmp/out") for case in cases()
    }


def masked(line: str, text: str) -> object:
    """*text* without what monitor.md 7 lets differ."""
    text = re.sub(r"\) is 0x[0-9a-f]+\r\n", ") is HVA\r\n", text)
    text = re.sub(r"thread_id=\d+", "thread_id=N", text)
    if line == "info version":
        return re.match(r"[\d.]+", text)[0]  # type: ignore[index]
    if line == "info chardev":
        return re.sub(r"unix:[^,]*", "unix:PATH", text)
    if line == "info memdev":
        return sorted(part.strip() for part in text.split("memory backend: "))
    if line.startswith("qom-list /"):
        return sorted(text.splitlines())
    if line.startswith(("info mtree", "info ramblock")):
        return canonical(text)
    return text


def agreeing(dialect: str, folder: str) -> set[str]:
    real = {case["line"]: case["replies"][dialect] for case in cases()}
    ours = answers(dialect, folder)
    return {line for line in real if masked(line, ours[line]) == masked(line, real[line])}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("out"))


@pytest.mark.parametrize("dialect", versions.KNOWN)
def test_lines_as_real_qemu(dialect: str, folder: str) -> None:
    real = {case["line"]: case["replies"][dialect] for case in cases()}
    assert len(real) == LINES
    same = agreeing(dialect, folder)
    listed = {line for line, each in differ().items() if dialect in each.get("versions", versions.KNOWN)}
    unlisted = {line: (answers(dialect, folder)[line], real[line]) for line in real.keys() - same - listed}
    assert unlisted == {}
    assert listed & same == set(), "these agree; take them off the list"
    assert len(same) == AGREE[dialect]


def test_the_list_names_lines_of_the_file() -> None:
    assert differ().keys() <= {case["line"] for case in cases()}
