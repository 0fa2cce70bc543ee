"""The arm virt board: laws of its map, worked examples of the specification, hot-plug and registers beside QEMU."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qshim.devices.arm.gic import listed
from qshim.machines.arm.gic import GicChoice, choose_gic
from qshim.machines.arm.layouts import RAM, high_map
from qshim.machines.errors import MachineError
from qshim.units import GIB, MIB
from qshim.versions.virt import virt_quirks
from tests.support.oracle import LABELS, needs
from tests.sweep import hotplug, registers

ALL = {"redist2": True, "ecam": True, "mmio": True}
SIZES = {"redist2": 64 * MIB, "cxl": MIB, "ecam": 256 * MIB, "mmio": 512 * GIB}


@given(
    ram=st.integers(1, 1 << 42).map(lambda n: n & ~(MIB - 1) or MIB), extra=st.integers(0, 1 << 42),
    slots=st.integers(0, 256), bits=st.sampled_from((32, 40, 44, 48, 52)), wanted=st.fixed_dictionaries(
        {name: st.booleans() for name in ALL}), compact=st.booleans(), cxl=st.booleans(),
)  # fmt: skip
def test_high_map_keeps_everything_apart(
    ram: int, extra: int, slots: int, bits: int, wanted: dict[str, bool], compact: bool, cxl: bool
) -> None:
    top = -(-(-(-(RAM + ram) // GIB) * GIB + extra + slots * GIB) // GIB) * GIB
    if top > 1 << bits:
        with pytest.raises(MachineError, match=f"limited to {bits} bits"):
            high_map(ram, ram + extra, slots, bits, wanted, compact=compact, cxl=cxl)
        return
    made = high_map(ram, ram + extra, slots, bits, wanted, compact=compact, cxl=cxl)
    end = RAM + ram
    if made.device_memory is not None:
        base, size = made.device_memory
        assert base % GIB == 0
        assert base >= end
        end = base + size
    for name in (name for name in ("redist2", "ecam", "mmio") if made.enabled[name]):
        base = made.bases[name]
        assert base >= max(end, 256 * GIB)
        assert base % SIZES[name] == 0
        end = base + SIZES[name]
        assert end <= 1 << bits


@pytest.mark.parametrize(
    ("most", "bits", "ecam", "mmio"),
    [(600, 40, 0x9650000000, None), (767, 40, 0xC010000000, None), (1022, 40, 0xFFD0000000, None),
     (900, 52, 0xE150000000, 0x10000000000)],
)  # fmt: skip
def test_high_map_moves_behind_device_memory(most: int, bits: int, ecam: int, mmio: int | None) -> None:
    """virt-boards.md, W5."""
    made = high_map(GIB, most * GIB, 0, bits, ALL, compact=True, cxl=False)
    assert made.bases["ecam"] == ecam
    assert made.enabled["mmio"] is (mmio is not None)
    if mmio is not None:
        assert made.bases["mmio"] == mmio


def test_memory_beyond_the_address_width_is_refused_with_what_is_too_much() -> None:
    with pytest.raises(MachineError, match="limited to 40 bits, but memory exceeds it by 1073741824 bytes"):
        high_map(GIB, 1024 * GIB, 0, 40, ALL, compact=True, cxl=False)


def test_more_memory_than_the_maximum_leaves_a_region_that_wraps() -> None:
    """A backend of 256 MiB where -m says nothing: maxmem stays 128 MiB (seen in 7.2, 10.0, 11.1)."""
    made = high_map(256 * MIB, 128 * MIB, 0, 40, ALL, compact=True, cxl=False)
    assert made.device_memory == (0x80000000, (1 << 64) - 128 * MIB)


@pytest.mark.parametrize(("version", "second", "most"), [(2, True, 8), (3, False, 123), (3, True, 635), (4, True, 317)])
def test_cpus_that_an_interrupt_controller_serves(version: int, second: bool, most: int) -> None:
    assert GicChoice(version).most_cpus(second_region=second, machine=512) == most


def test_gic_follows_the_number_of_cpus_since_10_0() -> None:
    def version(label: str, cpus: int) -> int:
        return choose_gic("", cpus, virt_quirks(label), virtualization=False, secure=False).version

    assert [version("7.2", 9), version("10.0", 8), version("10.0", 9)] == [2, 2, 3]


def test_lists_of_numbers_print_as_sorted_runs() -> None:
    assert listed((61, 9)) == "9,61 (0x9,0x3d)"
    assert listed((1, 0, 1)) == "0-1 (0x0-0x1)"


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("seed", [4, 16, 19])
def test_hot_plug_does_what_qemu_does(label: str, seed: int) -> None:
    needs(label, "aarch64")
    assert hotplug.sequence(label, seed, target="aarch64") == []


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("seed", [1, 5, 6])
def test_registers_move_memory_as_in_qemu(label: str, seed: int) -> None:
    needs(label, "aarch64")
    assert registers.sequence(label, seed, 25, "aarch64") == []
