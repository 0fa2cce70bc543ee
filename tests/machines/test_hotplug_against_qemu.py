"""A small sample of the hot-plug sweep: operations on our machines and on real QEMUs, compared after each."""

from __future__ import annotations

import pytest

from tests.support.oracle import LABELS, needs
from tests.sweep.hotplug import sequence


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("seed", [6, 11, 60, 171])
def test_a_sequence_does_the_same(label: str, seed: int) -> None:
    needs(label, "x86_64")
    assert sequence(label, seed) == []
