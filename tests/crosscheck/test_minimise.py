"""Shrinking command lines."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qshim.cli import main
from qshim.crosscheck.minimise import minimise, minimise_steps, options_of
from tests.support.fake_qemu import install
from tests.support.oracle import needs

WORDS = st.lists(st.sampled_from(["-S", "-M pc", "-m 1G,slots=2", "-device a,id=b,c=d", "-name x"]), max_size=6)


def split(options: Sequence[str]) -> list[str]:
    return [word for option in options for word in option.split()]


@given(WORDS)
def test_options_keep_every_word(options: list[str]) -> None:
    argv = split(options)
    assert [word for option in options_of(argv) for word in option] == argv


@settings(deadline=None)
@given(WORDS, st.sampled_from(["c=d", "slots=2", "-S", "pc"]))
def test_what_is_left_differs_and_nothing_smaller_does(options: list[str], culprit: str) -> None:
    argv = split([*options, "-device a,id=b,c=d", "-m 1G,slots=2", "-S", "-M pc"])

    async def differs(words: Sequence[str]) -> bool:
        return any(culprit in word.split(",") for word in words)

    left = asyncio.run(minimise(argv, differs))
    expected = {"c=d": ["-device", "a,c=d"], "slots=2": ["-m", "1G,slots=2"], "-S": ["-S"], "pc": ["-M", "pc"]}
    assert list(left) == expected[culprit]


def test_a_sweep_prints_the_smallest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The other side lacks the device: options that have nothing to do with it go."""
    qemu = needs("7.2", "x86_64")
    grid = tmp_path / "grid.toml"
    grid.write_text('argv = "-M pc -m {memory} -device virtio-rng-pci,id=r0 -name x"\n[axes]\nmemory = ["64M"]\n')
    against = f"qemu:{qemu}:-M pc -m 64M"
    assert main(["sweep", "--grid", str(grid), "--qemu", qemu, "--against", against, "--minimise"]) == 1
    output = capsys.readouterr()
    assert "0 of 1" in output.out
    assert output.err.startswith("smallest with ")
    assert "-name" not in output.err


@settings(deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=30), st.sets(st.integers(0, 9), min_size=1, max_size=3))
def test_the_steps_that_are_left_are_needed(noise: list[int], culprits: set[int]) -> None:
    steps = [str(number) for number in (*noise, *culprits)]

    async def differs(fewer: Sequence[str]) -> bool:
        return {str(number) for number in culprits} <= set(fewer)

    assert sorted(asyncio.run(minimise_steps(steps, differs))) == sorted(str(number) for number in culprits)


def test_steps_are_shrunk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The fake QEMU does not know `info name`, our model does."""
    steps = tmp_path / "steps"
    steps.write_text("info mtree\ninfo ramblock\ninfo name\ninfo mtree -f\n")
    words = ["crosscheck", "--qemu", str(install(tmp_path)), "--steps", str(steps), "--minimise"]
    assert main([*words, "--", "-M", "none"]) == 1
    output = capsys.readouterr()
    assert output.err == "info name\n"
    assert "after step 1 (info name)" in output.out
    assert main(["crosscheck", "--qemu", "/x", "--minimise"]) == 2
