"""Sockets, windows and options of the RISC-V virt board, alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qshim.argv import OptionError
from qshim.machines.errors import MachineError
from qshim.machines.riscv import layouts as at
from qshim.machines.riscv.cpus import cpu_features, has_hypervisor, has_supervisor, is_wide, riscv_cpu
from qshim.machines.riscv.sockets import sockets_of, warnings
from qshim.machines.virt_parts import check_features
from qshim.monitor.hmp.line import perform, understand
from qshim.qom.types import target_types
from qshim.units import GIB
from tests.sweep.compare import ours


@given(harts=st.integers(1, 64), nodes=st.integers(1, 4))
def test_even_nodes_share_all_harts_in_order(harts: int, nodes: int) -> None:
    nodes = min(nodes, harts)
    of_cpu = {index: min(index // (harts // nodes), nodes - 1) for index in range(harts)}
    sockets = list(sockets_of(harts, nodes, of_cpu))
    assert [hart for socket in sockets for hart in range(socket.first, socket.first + socket.count)] == [*range(harts)]
    assert all(of_cpu[socket.first] == socket.number for socket in sockets)


@given(st.permutations(range(6)), st.integers(1, 4))
def test_harts_of_a_node_follow_each_other_or_are_refused(order: list[int], nodes: int) -> None:
    of_cpu = {hart: place % nodes for place, hart in enumerate(order)}
    together = all(
        max(inside) - min(inside) + 1 == len(inside)
        for inside in ([hart for hart in of_cpu if of_cpu[hart] == node] for node in range(nodes))
    )
    if together:
        assert sum(socket.count for socket in sockets_of(6, nodes, of_cpu)) == 6
    else:
        with pytest.raises(MachineError, match=r"^discontinuous hartids in socket\d$"):
            list(sockets_of(6, nodes, of_cpu))


def test_more_nodes_than_sockets() -> None:
    with pytest.raises(MachineError, match="number of sockets/nodes should be less than 4"):
        list(sockets_of(8, 5, {index: index % 5 for index in range(8)}))


@given(st.integers(1, 1 << 40))
def test_the_high_window_lies_behind_ram(ram: int) -> None:
    base, size = at.high_window(ram, wide=True)
    assert base >= at.RAM + ram
    assert base - (at.RAM + ram) < size
    assert base % size == 0


def test_the_high_window_of_32_bits_stands_still() -> None:
    assert {at.high_window(ram * GIB, wide=False) for ram in (1, 3, 11)} == {(0x300000000, 4 * GIB)}


@pytest.mark.parametrize(
    ("text", "target", "label", "type_name"),
    [
        (None, "riscv64", "10.0", "rv64-riscv-cpu"),
        (None, "riscv32", "7.2", "rv32-riscv-cpu"),
        ("sifive-u54-riscv-cpu", "riscv64", "7.2", "sifive-u54-riscv-cpu"),
        ("rv64,v=on,vlen=256", "riscv64", "11.1", "rv64-riscv-cpu"),
        ("rv32", "riscv64", "10.0", "rv32-riscv-cpu"),
    ],
)
def test_models(text: str | None, target: str, label: str, type_name: str) -> None:
    assert riscv_cpu(text, target, label) == type_name
    check_features(type_name, cpu_features(text), target_types(label, target))


@pytest.mark.parametrize(
    ("text", "target", "label", "said"),
    [
        ("nosuch", "riscv64", "10.0", "unable to find CPU model 'nosuch'"),
        ("rv32", "riscv64", "7.2", "unable to find CPU model 'rv32'"),
        ("rv64", "riscv32", "11.1", "unable to find CPU model 'rv64'"),
        ("rv64,nosuch=on", "riscv64", "7.2",
         "can't apply global rv64-riscv-cpu.nosuch=on: Property 'rv64-riscv-cpu.nosuch' not found"),
        ("rv64,v=maybe", "riscv64", "10.0",
         "can't apply global rv64-riscv-cpu.v=maybe: Parameter 'v' expects 'on' or 'off'"),
    ],
)  # fmt: skip
def test_models_that_are_refused(text: str, target: str, label: str, said: str) -> None:
    with pytest.raises(MachineError) as caught:
        check_features(riscv_cpu(text, target, label), cpu_features(text), target_types(label, target))
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("type_name", "text", "has"),
    [("rv64-riscv-cpu", None, True), ("rv64-riscv-cpu", "rv64,h=off", False), ("thead-c908v-riscv-cpu", None, False)],
)
def test_harts_with_guest_interrupts(type_name: str, text: str | None, has: bool) -> None:
    assert has_hypervisor(type_name, text) == has


def test_what_models_are() -> None:
    assert is_wide("rv64-riscv-cpu", "riscv64")
    assert not is_wide("rv32-riscv-cpu", "riscv64")
    assert not is_wide("rv32-riscv-cpu", "riscv32")
    assert has_supervisor("sifive-u54-riscv-cpu")
    assert not has_supervisor("sifive-e51-riscv-cpu")


def test_harts_of_one_cluster_in_two_nodes_are_warned_about() -> None:
    here = {"socket": 0, "cluster": 0}
    places = [(0, here), (1, here), (2, {"socket": 1, "cluster": 0})]
    assert warnings(places, {0: 0, 1: 1, 2: 1}) == [
        "CPU-0 and CPU-1 in socket-0-cluster-0 have been associated with node-0 and node-1 respectively. "
        "It can cause OSes like Linux to misbehave"
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("-M virt,aia=gic", "Invalid AIA interrupt controller type"),
        ("-M virt,aia-guests=9", "Invalid number of AIA IMSIC guests"),
        ("-M virt,aia-guests=-1", "Invalid number of AIA IMSIC guests"),
        ("-M virt,highmem=off", "Property 'virt-machine.highmem' not found"),
        ("-M virt -bios nosuch.bin", 'Unable to find the RISC-V BIOS "nosuch.bin"'),
        ("-M virt -device pc-dimm", "-device pc-dimm: 'pc-dimm' is not a valid device model name"),
        ("-M virt -smp 2,clusters=2", "clusters > 1 not supported by this machine's CPU topology"),
    ],
)
def test_options_that_are_refused(words: str, said: str) -> None:
    with pytest.raises(OptionError) as caught:
        ours("10.0", words.split(), "riscv64")
    assert caught.value.reports[0].split("\n")[0] == said


def test_guests_that_are_no_number_count_as_none() -> None:
    vm = ours("10.0", ["-M", "virt,aia=aplic-imsic,aia-guests=many"], "riscv64")
    found = understand(vm, "info mtree -f")
    assert found is not None
    assert "0000000028000000-0000000028000fff (prio 0, i/o): riscv.imsic" in perform(vm, found)
