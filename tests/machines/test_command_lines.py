"""Modelled boards beside real QEMU: default machines whole, and a seeded sample of random command lines."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from qshim.argv.dialect import option_help
from qshim.cli.modelled import is_modelled
from qshim.machines.build import board_of
from tests.support import oracle
from tests.sweep.command_lines import generate
from tests.sweep.compare import MORE, compare

LABELS = ("7.2", "10.0", "11.1")
LINES = 12


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize(
    "words",
    ["-M pc", "-M q35", "-M pc -nodefaults", "-M q35 -nodefaults", "-M isapc", "-M microvm", "-M none"],
)
def test_default_machines_are_whole(label: str, words: str) -> None:
    binary = oracle.needs(label, "x86_64")
    outcome = compare(label, binary, words.split(), MORE)
    assert outcome.same, "\n".join([outcome.what, *outcome.diff])
    differing = [view for view, same in outcome.views.items() if not same]
    assert not differing, "\n".join([*differing, *outcome.diff])


@pytest.mark.parametrize("label", LABELS)
def test_random_command_lines(label: str, tmp_path: Path) -> None:
    binary = oracle.needs(label, "x86_64")
    chance = random.Random(int(os.environ.get("QSHIM_SEED", "0")))
    wrong = []
    for _ in range(LINES):
        outcome = compare(label, binary, generate(chance, label, str(tmp_path)))
        if not outcome.same:
            wrong += [outcome.args, outcome.what, *outcome.diff[:20]]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize(
    "words",
    [
        "-M q35 -m 1G,slots=3,maxmem=4G",
        "-M q35,max-ram-below-4g=1G -m 5G",
        "-M pc -m 128M,slots=2,maxmem=1G -object memory-backend-ram,id=m,size=128M -device pc-dimm,memdev=m,slot=5",
        "-M q35 -smp 4,sockets=3",
        "-M q35 -device VGA,addr=1f.0",
        "-M pc -device nosuch",
        "-M isapc -m 4G",
        "-M microvm,pcie=on,usb=on -device e1000",
    ],
)
def test_chosen_command_lines(label: str, words: str) -> None:
    outcome = compare(label, oracle.needs(label, "x86_64"), words.split())
    assert outcome.same, "\n".join([outcome.what, *outcome.diff])


@pytest.mark.parametrize("label", LABELS)
def test_what_is_modelled_has_a_board(label: str) -> None:
    for row in option_help(label, "x86_64")["-M help"][1].splitlines()[1:]:
        name = row.split()[0]
        if "(alias of" not in row:
            assert is_modelled(name, "x86_64") == (board_of(name) is not None), name
