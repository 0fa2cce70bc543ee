"""The virt boards beside what real QEMUs said of the same command lines (fixtures/virt), and beside those installed."""

from __future__ import annotations

import json
import lzma
import os
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import qshim.monitor.qmp.families  # noqa: F401  # for the commands it enters
from qshim.argv import OptionError
from qshim.layout.canonical import canonical
from qshim.monitor.hmp.bridge import ask
from qshim.monitor.hmp.line import perform, understand
from qshim.monitor.registry import CommandError
from tests.support import oracle
from tests.sweep.compare import compare, masked, ours
from tests.sweep.virt_lines import GENERATORS
from tests.tools.record_virt import HMP, TRUTH, made_files

LINES = 8
ROWS: list[dict[str, Any]] = json.loads(lzma.decompress(TRUTH.read_bytes()))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    return made_files(str(tmp_path_factory.mktemp("virt")))


@pytest.mark.parametrize("row", ROWS, ids=[f"{row['target']} {row['label']} {row['args']}" for row in ROWS])
def test_machine_is_as_recorded(row: dict[str, Any], files: Mapping[str, str]) -> None:
    words = row["args"].format(**files).split()
    if "refused" in row:
        with pytest.raises(OptionError) as caught:
            ours(row["label"], words, row["target"])
        said = caught.value.reports[0].split("\n")[0]
        assert said.replace(files["firmware"], "{firmware}") == _short(row["refused"])
        return
    vm = ours(row["label"], words, row["target"])
    for command, told in row["views"].items():
        assert _made(vm, command) == told, command


def _short(text: str) -> str:
    """A first line without the directory that the recorder's files were in."""
    before, _, after = text.partition("file=")
    return text if not after else f"{before}file={{firmware}}{after[after.index('/firmware') + 9 :]}"


def _made(vm: Any, command: str) -> Any:
    if command in HMP:
        found = understand(vm, command)
        assert found is not None
        return "\n".join(canonical(perform(vm, found)))
    try:
        return masked(json.loads(json.dumps(ask(vm, command))))
    except CommandError as error:
        return {"error": {"class": error.class_, "desc": str(error)}}


@pytest.mark.parametrize("label", oracle.LABELS)
@pytest.mark.parametrize("target", sorted(GENERATORS))
def test_random_command_lines(target: str, label: str, tmp_path: Path) -> None:
    binary = oracle.needs(label, target)
    chance = random.Random(int(os.environ.get("QSHIM_SEED", "0")))
    wrong = []
    for _ in range(LINES):
        outcome = compare(label, binary, GENERATORS[target](chance, label, str(tmp_path)), target=target)
        if not outcome.same:
            wrong += [outcome.args, outcome.what, *outcome.diff[:20]]
    assert not wrong, "\n".join(wrong)
