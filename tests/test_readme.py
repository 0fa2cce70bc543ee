"""What README shows is what happens."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import pytest

from qshim.cli import COMMANDS, main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def examples() -> list[tuple[str, str]]:
    """(command, output) of every console block."""
    found = []
    for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            found.append((command, output))
    return found


@pytest.mark.parametrize(("command", "output"), examples(), ids=[command for command, _ in examples()])
def test_examples_print_what_readme_shows(command: str, output: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = shlex.split(command)
    assert words[0] == "qshim"
    assert main(words[1:]) == 0
    assert capsys.readouterr().out == output


def test_every_subcommand_is_described() -> None:
    assert {name for name in COMMANDS if f"`qshim {name} " not in README} == set()


def test_support_matrix_counts_the_recordings() -> None:
    shipped = ROOT / "qshim" / "data" / "recordings"
    for version in ("7.2", "10.0", "11.1"):
        counts = [len(list((shipped / version / t).glob("*.qrec.xz"))) for t in ("x86_64", "aarch64", "riscv64")]
        assert f"| {version} | {counts[0]} | {counts[1]} | {counts[2]} |" in README


def test_commands_with_a_behaviour_are_listed() -> None:
    from qshim.monitor.qmp import families  # noqa: F401
    from qshim.monitor.qmp.table import QMP

    listed = README.partition("The QMP commands with a behaviour:")[2].partition(".\n")[0]
    assert re.findall(r"`([^`]+)`", listed) == sorted(QMP)


def test_scripts_that_it_names_are_there() -> None:
    for script in set(re.findall(r"(?:\./)?((?:examples|tests)/\w+\.sh)", README)):
        assert os.access(ROOT / script, os.X_OK), script


def test_top_level_holds_what_the_design_names() -> None:
    allowed = {
        "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "qshim", "fixtures", "tests",
        "examples", ".ci", ".gitignore",
    }  # fmt: skip
    ignored = {".git", *re.findall(r"^(\.?[\w.]+)/?$", (ROOT / ".gitignore").read_text(encoding="utf-8"), re.MULTILINE)}
    there = {p.name for p in ROOT.iterdir() if p.name not in ignored and not p.name.startswith(".venv")}
    assert {name for name in there if not name.endswith(".egg-info")} == allowed


def test_known_devices_are_those_of_the_catalogue() -> None:
    from qshim.devices.recorded import catalogue

    listed = README.partition("Device types, each where that QEMU has it: ")[2].partition("\n\n")[0]
    named = re.findall(r"`([^`]+)`", listed)
    known: set[str] = set()
    for label in ("7.2", "10.0", "11.1"):
        found = catalogue(label)
        assert found is not None
        mine = {name for name in found.names if "f" in (found.entry(name) or {})}
        assert re.search(rf"\b{len(mine)}( device types)?\s+of {re.escape(label)}\b", README), (label, len(mine))
        known |= mine
    assert set(named) == known


def test_support_matrix_is_what_was_compared() -> None:
    from tests.tools.support_matrix import END, START, table

    shown = README.partition(START)[2].partition(END)[0]
    assert shown == table(), "python -m tests.tools.support_matrix --write brings it up to date"
