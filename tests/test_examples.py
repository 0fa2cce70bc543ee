"""The example project, and the steps of its workflows."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from qshim.cli import main

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "layout-check"
PUBLISHED = {"actions/checkout@v4", "actions/setup-python@v5"}


def commands(text: str) -> list[list[str]]:
    """The qshim commands of a workflow, without what the shell does with their output."""
    found = re.findall(r"^\s*(?:- |run: |entry: )(qshim [^>|\n]*)", text, re.MULTILINE)
    return [shlex.split(line)[1:] for line in found]


WORKFLOWS = {
    path: commands((EXAMPLE / path).read_text(encoding="utf-8"))
    for path in (".github/workflows/layout.yml", ".gitlab-ci.yml", ".pre-commit-config.yaml")
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(EXAMPLE, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


@pytest.mark.parametrize("name", WORKFLOWS)
def test_steps_pass_on_the_example_and_fail_after_a_change(name: str, project: Path) -> None:
    assert WORKFLOWS[name]
    for words in WORKFLOWS[name]:
        assert main(words) == 0
    config = project / "qshim.toml"
    config.write_text(
        config.read_text(encoding="utf-8").replace("romsize=524288", "romsize=1048576", 1), encoding="utf-8"
    )
    for words in WORKFLOWS[name]:
        assert main(words) == 1


def test_the_goldens_are_what_an_update_writes(project: Path) -> None:
    before = {path.name: path.read_bytes() for path in (project / "layouts").iterdir()}
    shutil.rmtree(project / "layouts")
    assert main(["check", "--update"]) == 0
    assert {path.name: path.read_bytes() for path in (project / "layouts").iterdir()} == before


def test_the_order_of_options_is_no_change(project: Path) -> None:
    config = project / "qshim.toml"
    text = config.read_text(encoding="utf-8")
    device = " -device virtio-net-pci,romsize=524288,addr=3"
    turned = text.replace(device, "").replace("-nodefaults -m 4G", f"{device.strip()} -nodefaults -m 4G")
    assert turned != text
    config.write_text(turned, encoding="utf-8")
    assert main(["check", "--fail-on", "info"]) == 0


def test_only_published_actions_are_used() -> None:
    text = (EXAMPLE / ".github/workflows/layout.yml").read_text(encoding="utf-8")
    assert set(re.findall(r"uses: (\S+)", text)) == PUBLISHED
