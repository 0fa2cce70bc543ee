"""A sample of what real QEMUs printed: rebuilt, every text comes out as recorded.

QSHIM_SEED chooses other machines, QSHIM_SAMPLE how many; tests/sweep.sh --full takes all.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.sweep.rebuild import cases_of, places

TOP = Path(__file__).resolve().parents[2]
PLACES = places([str(TOP / "qshim" / "data" / "recordings"), str(TOP / "fixtures" / "recordings")])
RECORDINGS = [path for path in PLACES if path.name.endswith((".qrec", ".qrec.xz"))]
SEED = int(os.environ.get("QSHIM_SEED", "0"))
SAMPLE = random.Random(SEED).sample(RECORDINGS, min(int(os.environ.get("QSHIM_SAMPLE", "40")), len(RECORDINGS)))


def test_there_are_recordings() -> None:
    assert len(RECORDINGS) > 100


@pytest.mark.parametrize("path", SAMPLE, ids=lambda path: str(path.relative_to(TOP)))
def test_a_recorded_machine_prints_what_was_recorded(path: Path) -> None:
    (case,) = cases_of(path)
    assert case.wrong == {}
    assert case.compared >= 3
