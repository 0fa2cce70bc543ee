"""qshim fuzz: finds, shrinks and saves; a run that could not compare is never "same"."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from qshim.cli import main
from qshim.crosscheck.fuzz import fuzz
from qshim.layout.compare import Change
from qshim.reports.model import Report, Side
from tests.support.fake_qemu import install
from tests.support.oracle import LABELS, needs

SIDES = Side("a", "7.2.22", "pc"), Side("qshim", "7.2.22", "pc")
SAME = Report(*SIDES, compared=("info mtree",))
BROKEN = Report(Side("a", None, None, "no"), SIDES[1])


def planted(steps: Sequence[str]) -> Report:
    """A model that forgets a backend when it was added and deleted."""
    names = {step.split("id=")[1].split(",")[0] for step in steps if step.startswith("object_add")}
    if any(f"object_del {name}" in steps for name in names):
        return Report(*SIDES, (Change("block-removed", "x", "x", None, None),), (), ("info mtree",))
    return SAME


def test_a_planted_fault_is_found_and_shrunk() -> None:
    found = fuzz(planted, examples=200, seed=1)
    assert len(found.steps) == 2
    assert sorted(step.split()[0] for step in found.steps) == ["object_add", "object_del"]
    assert found.report is not None
    assert found.report.verdict == "differs"


def test_nothing_to_find() -> None:
    found = fuzz(lambda steps: SAME, examples=30, seed=1)
    assert (found.steps, found.report) == ((), None)
    assert found.tried >= 20


def test_a_seed_chooses_the_sequences() -> None:
    tried: dict[int, list[Sequence[str]]] = {0: [], 1: []}
    for seed, seen in tried.items():
        fuzz(lambda steps, seen=seen: seen.append(list(steps)) or SAME, examples=10, seed=seed)  # type: ignore[misc]
    assert tried[0] != tried[1]


def test_a_run_that_cannot_compare_ends_it() -> None:
    runs: list[Sequence[str]] = []

    def run(steps: Sequence[str]) -> Report:
        runs.append(steps)
        return BROKEN

    found = fuzz(run, examples=50, seed=1)
    assert (len(runs), found.steps, found.report) == (1, (), BROKEN)


@pytest.mark.parametrize("label", LABELS)
def test_random_steps_against_the_real_one(label: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--examples", "5", "-o", str(tmp_path / "steps"), "--", "-M", "pc", "-m", "32M"]
    assert main(["fuzz", "--qemu", needs(label, "x86_64"), *words]) == 0, capsys.readouterr().out
    assert not (tmp_path / "steps").exists()


def test_what_differs_is_saved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The fake QEMU knows no object_add, so every sequence with one differs."""
    words = ["--examples", "20", "-o", str(tmp_path / "steps"), "--", "-M", "none"]
    assert main(["fuzz", "--qemu", str(install(tmp_path)), *words]) == 1
    assert "reply-changed" in capsys.readouterr().out
    assert len((tmp_path / "steps").read_text().splitlines()) == 1


def test_usage_and_refusals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fuzz", "--qemu", "/x", "--examples", "0"]) == 2
    assert main(["fuzz", "--qemu", "/x", "-o", "/nonexistent/steps"]) == 2
    assert main(["fuzz", "--qemu", "/nonexistent/qemu"]) == 3
    refusing = str(install(tmp_path, refuse="x: no\n"))
    assert main(["fuzz", "--qemu", refusing, "-o", str(tmp_path / "steps")]) == 3
    assert "refused by one: x: no" in capsys.readouterr().out
