"""Chipset registers beside real QEMUs: some sequences of the sweep (tests/sweep/registers.py)."""

from __future__ import annotations

import pytest

from tests.support.oracle import LABELS, needs
from tests.sweep.registers import sequence


@pytest.mark.parametrize("seed", [1, 2, 13])
@pytest.mark.parametrize("label", LABELS)
def test_sequence_moves_memory_as_in_qemu(label: str, seed: int) -> None:
    needs(label, "x86_64")
    assert sequence(label, seed, 25) == []
