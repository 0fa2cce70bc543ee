"""Data of one target as what is different from another's."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qshim.qom.likeness import SIBLINGS, applied, difference
from qshim.qom.types import qom_types
from qshim.versions import KNOWN

NAMES = st.sampled_from("abcdef")
ROWS = st.lists(st.fixed_dictionaries({"name": NAMES, "n": st.integers(0, 3)}), unique_by=lambda row: row["name"])
DATA = st.fixed_dictionaries(
    {"rows": ROWS, "table": st.dictionaries(NAMES, st.integers(0, 3)), "number": st.integers(0, 3)}
)


@given(DATA, DATA)
def test_differences_bring_back_what_they_were_made_of(base: dict[str, object], own: dict[str, object]) -> None:
    changes = json.loads(json.dumps(difference(base, own)))
    assert applied(base, changes) == own
    assert (changes == {}) == (base == own)


def test_lists_without_names_are_kept_whole() -> None:
    assert difference({"x": [1, 2]}, {"x": [2]}) == {"x": {"is": [2]}}
    assert applied({"x": [1, 2]}, {"x": {"is": [2]}}) == {"x": [2]}


@pytest.mark.parametrize("target", SIBLINGS)
@pytest.mark.parametrize("label", KNOWN)
def test_siblings_have_their_own_cpus(label: str, target: str) -> None:
    known, other = qom_types(label, target), qom_types(label, SIBLINGS[target])
    assert known is not None
    assert other is not None
    own = {row["name"] for row in known.types if known.implements(row["name"], "cpu")}
    assert any(name.endswith("-i386-cpu") for name in own) == (target == "i386")
    assert own != {row["name"] for row in other.types if other.implements(row["name"], "cpu")}
    assert known.implements("virtio-net-pci", "pci-device")
    assert known.device_properties("virtio-net-pci") == other.device_properties("virtio-net-pci")
