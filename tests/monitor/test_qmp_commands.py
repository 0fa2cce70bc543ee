"""Commands in order on one machine and what real QEMU answered: fixtures/monitor/qmp-commands.jsonl.xz.

The machines are recordings of the same command lines (fixtures/monitor/recordings). Rows that differ
are listed in qmp-commands-differ.json with the reason, by configuration and number; a row that is
listed but agrees fails, so that the list stays true. The configurations `preconfig` and
`q35-hotplug` need a machine that is being made or a device that is plugged: no recording can give them.
"""

from __future__ import annotations

import json
import lzma
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from qshim import versions
from qshim.recording.format import load
from qshim.vm import Chardev, Vm
from tests.monitor.masks import masked

HERE = Path(__file__).parents[2] / "fixtures" / "monitor"
CUT = "...<truncated>"
CONFIGS = ("q35", "none", "pc-numa")
# somebody may have a file called /nonexistent after all
TEXT = lzma.decompress((HERE / "qmp-commands.jsonl.xz").read_bytes()).decode()
ROWS: list[dict[str, Any]] = [
    json.loads(line) for line in TEXT.replace("/nonexistent", "/proc/self/nonexistent").splitlines()
]
DIFFER: dict[str, dict[str, dict[str, str]]] = json.loads((HERE / "qmp-commands-differ.json").read_text("utf-8"))
"""Version, then configuration and number of the row, then the reason."""


class Writable:
    """Files below one directory; the rows' `/tmp/out` is there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def may_write(self, path: str) -> str | None:
        return None

    def create(self, path: str, mode: int) -> BinaryIO:
        return Path(path).open("wb")

    def fdopen(self, fd: int) -> BinaryIO:
        return open(fd, "wb")


def replay(converse: Callable[..., Any], config: str, dialect: str, folder: Path) -> list[tuple[int, str, list[str]]]:
    """(number, command, replies) of every row of *config*."""
    vm = Vm.from_recording(load(HERE / "recordings" / f"{config}-{dialect}.qrec.xz"))
    vm.files = Writable(folder)
    vm.chardevs["compat_monitor0"] = Chardev("compat_monitor0", f"unix:{folder}/q,server=on", monitor="qmp")
    if "-S" not in next(row for row in ROWS if row["config"] == config)["qemu_args"]:
        vm.run_state = "running"
    due: list[Callable[[], None]] = []
    vm.set_clock(lambda seconds, call: due.append(call))
    talk = converse(vm=vm)
    talk.say(b'{"execute":"qmp_capabilities"}')
    answers = []
    for row in ROWS:
        if row["config"] == config:
            command = json.loads(row["input"])["execute"]
            replies = talk.say(row["input"].replace("/tmp/out/", f"{folder}/").encode())
            while due:
                due.pop(0)()
            replies += talk.say(b"")
            answers.append((row["seq"], command, replies + ["<<EOF>>"] * vm.ended))
    return answers


@pytest.fixture(params=[(c, d) for c in CONFIGS for d in versions.KNOWN], ids=lambda p: f"{p[0]}-{p[1]}")
def replayed(request: pytest.FixtureRequest, converse: Callable[..., Any], tmp_path: Path) -> tuple[str, str, Any]:
    config, dialect = request.param
    return config, dialect, replay(converse, config, dialect, tmp_path)


@cache
def expected(config: str, dialect: str) -> dict[int, list[str]]:
    return {row["seq"]: row["replies"][dialect] for row in ROWS if row["config"] == config}


def agree(command: str, replies: list[str], told: list[str]) -> bool:
    """Whether the replies are the same; long ones were recorded with their end cut off."""
    ours = [masked(command, line) for line in replies]
    if told[-1].endswith(CUT):
        whole = told[-1].removesuffix(CUT)
        return len(ours) == len(told) and ours[-1].startswith(whole)
    return ours == [masked(command, line) for line in told]


def test_replies_are_qemus(replayed: tuple[str, str, list[tuple[int, str, list[str]]]]) -> None:
    config, dialect, answers = replayed
    listed = DIFFER[dialect]
    wrong = []
    for number, command, replies in answers:
        row = f"{config} {number}"
        same = agree(command, replies, expected(config, dialect)[number])
        if same == (row in listed):
            wrong.append((row, command, "listed, but agrees" if same else replies, expected(config, dialect)[number]))
    assert not wrong


def test_the_list_names_rows_that_exist() -> None:
    known = {f"{row['config']} {row['seq']}" for row in ROWS if row["config"] in CONFIGS}
    for dialect, listed in DIFFER.items():
        assert dialect in versions.KNOWN
        assert set(listed) <= known
        assert all(listed.values())
