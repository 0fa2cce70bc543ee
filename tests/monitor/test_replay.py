"""Every row of qmp-commands.jsonl and hmp-cases.jsonl, sent in order to a drop-in with the recorded command line.

What real QEMU answered is what ours answers (after the masks of spec/monitor.md 7), but for the rows that
replay-differ.json lists, with the reason. A listed row that agrees is a failure, too.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qshim import versions
from tests.monitor.replay import CONFIGS, HERE, HMP, commands, lines, replayed

LISTED = json.loads((HERE / "replay-differ.json").read_text("utf-8"))
"""Groups with `config`, `reason`, `rows` and, where it is not all of them, `versions`."""


def expected(config: str, label: str) -> set[str]:
    """Rows that are listed."""
    groups = [each for each in LISTED if each["config"] == config and label in each.get("versions", versions.KNOWN)]
    return {row for each in groups for row in each["rows"]}


@pytest.mark.parametrize("label", versions.KNOWN)
@pytest.mark.parametrize("config", [*CONFIGS, HMP])
def test_rows_as_real_qemu(config: str, label: str, tmp_path: Path) -> None:
    outcomes = replayed(config, label, tmp_path)
    listed = expected(config, label)
    different = {each.name for each in outcomes if not each.same}
    assert [each for each in outcomes if each.name in different - listed] == []
    assert listed - different == set(), "these agree; take them off the list"


def test_the_list_names_rows_of_the_files() -> None:
    known = {(row["config"], str(row["seq"])) for row in commands()} | {(HMP, row["line"]) for row in lines()}
    for each in LISTED:
        assert each["reason"]
        assert set(each.get("versions", versions.KNOWN)) <= set(versions.KNOWN)
        assert {(each["config"], row) for row in each["rows"]} <= known
