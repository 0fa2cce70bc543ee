"""qshim sweep: what is in a grid, what a sweep says, and that it can be interrupted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qshim.cli import main
from qshim.cli.sweep import _text
from qshim.crosscheck.grid import Grid
from qshim.crosscheck.sweep import SWEEP_SCHEMA, Outcome, summed
from qshim.errors import UsageError
from tests.support.fake_qemu import install

GRID = """
argv = "-M {machine} {more}"

[axes]
machine = ["none", "x-remote"]
more = ["", "-m 1G -name 'a b'"]

[[exclude]]
machine = "x-remote"
more = ""
"""


def test_combinations_in_order_without_the_excluded() -> None:
    assert [case.argv for case in Grid.read(GRID, "g").cases()] == [
        ("-M", "none"),
        ("-M", "none", "-m", "1G", "-name", "a b"),
        ("-M", "x-remote", "-m", "1G", "-name", "a b"),
    ]


@given(st.integers(1, 40), st.integers(0, 5))
def test_a_sample_is_a_part_of_the_grid_and_the_seed_chooses_it(count: int, seed: int) -> None:
    axes = "\n".join(f"a{n} = {json.dumps([str(v) for v in range(3)])}" for n in range(3))
    grid = Grid.read(f'argv = "{{a0}} {{a1}} {{a2}}"\n[axes]\n{axes}\n', "g")
    whole, sample = grid.cases(), grid.cases(count, seed)
    assert len(whole) == 27
    assert len(sample) == min(count, 27)
    assert {case.argv for case in sample} <= {case.argv for case in whole}
    assert len({case.argv for case in sample}) == len(sample)
    assert grid.cases(count, seed) == sample


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("argv = ", "g is no grid"),
        ('argv = "-M"\n', "lacks [axes]"),
        ("[axes]\na = ['b']\n", "lacks argv"),
        ("argv = '{a}'\nargs = 1\n[axes]\na = ['b']\n", "has the member 'args'"),
        ("argv = '{a}'\n[axes]\na = []\n", "the axis 'a' needs a list of strings"),
        ("argv = '{a} {b}'\n[axes]\na = ['1']\n", "'b' is used in argv but no axis"),
        ("argv = '{a}'\n[axes]\na = ['1']\nb = ['1']\n", "'b' is not used in argv"),
        ("argv = '{a}'\n[axes]\na = ['1']\n[[exclude]]\na = '2'\n", "[[exclude]] names a = '2', which no axis has"),
    ],
)
def test_grids_that_are_none(text: str, sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        Grid.read(text, "g")
    assert sentence in str(caught.value)


def test_words_that_cannot_be_split() -> None:
    with pytest.raises(UsageError, match="cannot be split into words"):
        Grid.read("argv = '{a}'\n[axes]\na = [\"'\"]\n", "g").cases()


def sweep(tmp_path: Path, qemu: Path, *more: str) -> int:
    (tmp_path / "grid.toml").write_text(GRID)
    return main(["sweep", "--grid", str(tmp_path / "grid.toml"), "--qemu", str(qemu), *more])


def starts(folder: Path) -> int:
    return len((folder / "log").read_text().splitlines())


def test_a_sweep_counts_and_goes_on_from_its_state(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = ["--state", str(tmp_path / "state")]
    assert sweep(tmp_path, install(tmp_path), *state) == 0
    output = capsys.readouterr().out
    assert output.endswith("     3 of 3      agree (3 same)\n")
    assert "     2 of 2      machine = 'none'\n" in output
    begun = starts(tmp_path)
    lines = (tmp_path / "state").read_text().splitlines(keepends=True)
    (tmp_path / "state").write_text("".join(lines[:2]) + lines[2][:40])  # cut off in the middle of a line
    assert sweep(tmp_path, tmp_path / "qemu-fake", *state, "--format", "json") == 0
    assert starts(tmp_path) == begun + begun // 3
    report = json.loads(capsys.readouterr().out)
    jsonschema.validate(report, SWEEP_SCHEMA)
    assert report["total"] == {"agreed": 3, "all": 3}


def test_differences_are_exit_1_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    qemu = install(tmp_path)
    assert main(["record", "--qemu", str(qemu), "-o", str(tmp_path / "other.qrec"), "--", "-M", "none"]) == 0
    text = (tmp_path / "other.qrec").read_text()
    (tmp_path / "other.qrec").write_text(text.replace(": system ", ": other "))
    assert sweep(tmp_path, qemu, "--against", str(tmp_path / "other.qrec")) == 1
    output = capsys.readouterr().out
    assert "     3 with region-renamed\n" in output
    assert output.endswith("     0 of 3      agree (3 differs)\n")


@pytest.mark.parametrize(
    ("faults", "verdict"), [({"refuse": "x: no\n"}, "refused by one"), ({"die": "info ramblock"}, "failed")]
)
def test_what_was_not_compared_is_exit_3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], faults: dict[str, object], verdict: str
) -> None:
    assert sweep(tmp_path, install(tmp_path, **faults)) == 3
    assert capsys.readouterr().out.endswith(f"     0 of 3      agree (3 {verdict})\n")


def test_equal_refusals_of_two_qemus_agree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    qemu = install(tmp_path, refuse="x: no\n")
    assert sweep(tmp_path, qemu, "--against", str(qemu)) == 0
    assert capsys.readouterr().out.endswith("     3 of 3      agree (3 refused by both)\n")


@pytest.mark.parametrize(
    ("more", "status", "sentence"),
    [
        (("--jobs", "0"), 2, "--jobs and --sample need a number above 0"),
        (("--state", "/nonexistent/state"), 3, "cannot write /nonexistent/state"),
        (("--", "-M", "pc"), 2, "leave out what stands behind --"),
    ],
)
def test_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], status: int, sentence: str
) -> None:
    assert sweep(tmp_path, install(tmp_path), *more) == status
    assert sentence in capsys.readouterr().err


def test_a_state_of_something_else_is_not_touched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "state").write_text("my notes\nof today\n")
    assert sweep(tmp_path, install(tmp_path), "--state", str(tmp_path / "state")) == 3
    assert "is no state of a sweep: line 1 cannot be read" in capsys.readouterr().err
    assert (tmp_path / "state").read_text() == "my notes\nof today\n"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_sweep_leaves_no_qemu(tmp_path: Path, how: signal.Signals) -> None:
    qemu = install(tmp_path, hang=["info mtree -o -D"])
    (tmp_path / "grid.toml").write_text(GRID)
    words = ["sweep", "--grid", str(tmp_path / "grid.toml"), "--qemu", str(qemu), "--jobs", "2"]
    child = subprocess.Popen([sys.executable, "-m", "qshim", *words], stderr=subprocess.DEVNULL)
    wait_for(lambda: starts(tmp_path) >= 2)
    child.send_signal(how)
    child.wait(20)
    pids = [json.loads(line)["pid"] for line in (tmp_path / "log").read_text().splitlines()]
    wait_for(lambda: not any(alive(pid) for pid in pids))


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(condition: object) -> None:
    for _ in range(600):
        if condition():  # type: ignore[operator]
            return
        time.sleep(0.05)
    raise AssertionError(f"still not, {os.times()}")


def test_an_axis_can_be_asked_of_each_qemu(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The fake QEMU names two machine types; one is left out by a pattern."""
    (tmp_path / "grid.toml").write_text(
        'argv = "-M {machine}"\n[axes]\nmachine = { ask = "machines" }\n[[exclude]]\nmachine = "n*"\n'
    )
    words = ["sweep", "--grid", str(tmp_path / "grid.toml"), "--qemu", str(install(tmp_path)), "--format", "json"]
    assert main(words) == 0
    report = json.loads(capsys.readouterr().out)
    jsonschema.validate(report, SWEEP_SCHEMA)
    assert [outcome["argv"] for outcome in report["outcomes"]] == [["-M", "x-remote"]]
    assert report["views"]["info mtree -f -d -o"] == {"agreed": 1, "all": 1}
    with pytest.raises(UsageError, match="needs a list of strings, or"):
        Grid.read('argv = "{a}"\n[axes]\na = { ask = "cpus" }\n', "g")


def test_shares_of_views_and_reasons(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    qemu = install(tmp_path)
    assert main(["record", "--qemu", str(qemu), "-o", str(tmp_path / "other.qrec"), "--", "-M", "none"]) == 0
    text = (tmp_path / "other.qrec").read_text()
    (tmp_path / "other.qrec").write_text(text.replace("i/o): system parent", "i/o): other parent"))
    assert sweep(tmp_path, qemu, "--against", str(tmp_path / "other.qrec")) == 1
    output = capsys.readouterr().out
    assert "     0 of 3      texts of info mtree -o -D\n" in output
    assert "     3 of 3      texts of info ramblock\n" in output
    assert sweep(tmp_path, install(tmp_path, refuse="x: no such thing\n")) == 3
    assert "     3 not compared: x: no such thing\n" in capsys.readouterr().out


def test_long_axes_are_told_shortly(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Values that agree everywhere are counted; each of the others has its line."""
    outcomes = [
        Outcome("q", {"n": str(n)}, (), "differs" if n == 7 else "same", ("k",) if n == 7 else (), "", "7.2", 1.0)
        for n in range(50)
    ]
    lines = list(_text(summed(outcomes), outcomes))
    assert "     0 of 1      n = '7'" in lines
    assert "    49 of 49     the other 49 values of n" in lines
    assert not [line for line in lines if "n = '8'" in line]
