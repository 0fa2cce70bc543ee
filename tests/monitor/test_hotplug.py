"""device_add and device_del on a modelled machine: replies, events and what is left, without a QEMU."""

from __future__ import annotations

from typing import Any

import pytest

from qshim.monitor.hmp.line import run as run_hmp
from tests.sweep.hotplug import Ours

PORTS = ["-device", "pcie-root-port,id=rp0,chassis=1", "-device", "pcie-root-port,id=rp1,chassis=2"]
WORDS = ["-M", "q35", "-nodefaults", "-m", "256M,slots=2,maxmem=2G", "-smp", "1,maxcpus=2", *PORTS]


@pytest.fixture(params=["7.2", "10.0", "11.1"])
def machine(request: pytest.FixtureRequest) -> Ours:
    return Ours(request.param, WORDS)


def ask(machine: Ours, command: str, **arguments: Any) -> Any:
    given = {key.replace("_", "-"): value for key, value in arguments.items()}
    reply = machine.ask({"execute": command, "arguments": given})
    return reply["return"] if "return" in reply else reply["error"]["desc"]


def test_a_function_leaves_at_the_next_reset(machine: Ours) -> None:
    assert ask(machine, "device_add", driver="virtio-net-pci", id="n", bus="rp0") == {}
    assert ask(machine, "device_del", id="n") == {}
    assert ask(machine, "device_del", id="n") == "Device n is already in the process of unplug"
    assert "owner:{dev id=n}" in machine.text("info mtree -o")
    assert machine.events == []
    ask(machine, "system_reset")
    assert [(event["event"], event["data"]) for event in machine.events] == [
        ("RESET", {"guest": False, "reason": "host-qmp-system-reset"}),
        ("DEVICE_DELETED", {"path": "/machine/peripheral/n/virtio-backend"}),
        ("DEVICE_DELETED", {"device": "n", "path": "/machine/peripheral/n"}),
    ]
    assert "owner:{dev id=n}" not in machine.text("info mtree -o")
    assert ask(machine, "device_del", id="n") == "Device 'n' not found"
    assert ask(machine, "device_add", driver="e1000", id="n", bus="rp0") == {}


def test_what_is_there_before_and_after_is_the_same(machine: Ours) -> None:
    before = machine.text("info mtree -o"), machine.text("info ramblock"), machine.text("info qom-tree")
    ask(machine, "device_add", driver="e1000", id="a", bus="rp0")
    ask(machine, "device_add", driver="pcie-pci-bridge", id="b", bus="rp1")
    ask(machine, "device_add", driver="edu", id="c", bus="b", addr="3")
    for name in "abc":
        assert ask(machine, "device_del", id=name) == {}
    ask(machine, "system_reset")
    assert (machine.text("info mtree -o"), machine.text("info ramblock"), machine.text("info qom-tree")) == before


def test_a_dimm_waits_for_a_guest_and_keeps_its_backend(machine: Ours) -> None:
    ask(machine, "object-add", qom_type="memory-backend-ram", id="m", size=128 << 20)
    assert ask(machine, "device_add", driver="pc-dimm", id="d", memdev="m") == {}
    assert ask(machine, "device_add", driver="pc-dimm", id="e", memdev="m") == "can't use already busy memdev: m"
    assert ask(machine, "device_del", id="d") == {}
    ask(machine, "system_reset")
    assert [row["data"]["addr"] for row in ask(machine, "query-memory-devices")] == [0x100000000]
    assert "m" in ask(machine, "object-del", id="m")
    assert ask(machine, "query-memory-size-summary")["plugged-memory"] == 128 << 20


def test_a_cpu_comes_to_its_place(machine: Ours) -> None:
    place = {"socket-id": 0, "core-id": 1, "thread-id": 0}
    driver = "qemu64-x86_64-cpu"
    assert ask(machine, "device_add", driver=driver, socket_id=0, thread_id=0) == "CPU core-id is not set"
    assert ask(machine, "device_add", driver=driver, id="c", **place) == {}
    assert ask(machine, "device_add", driver=driver, **place) == "CPU[1] with APIC ID 1 exists"
    rows = ask(machine, "query-hotpluggable-cpus")
    assert rows[0]["qom-path"] == "/machine/peripheral/c"
    assert "address-space: cpu-memory-1" in machine.text("info mtree")
    assert machine.vm.cpus == 2


def test_hmp_says_it_with_error(machine: Ours) -> None:
    assert run_hmp(machine.vm, "device_add e1000,id=x") == "Error: Bus 'pcie.0' does not support hotplugging\r\n"
    assert run_hmp(machine.vm, "device_add e1000,id=x,bus=rp0") == ""
    assert run_hmp(machine.vm, "device_add e1000,id=x,bus=rp1") == "Error: Duplicate device ID 'x'\r\n"
    assert run_hmp(machine.vm, "device_del nobody") == "Error: Device 'nobody' not found\r\n"


def test_nameless_devices_count_on_though_one_was_refused(machine: Ours) -> None:
    ask(machine, "device_add", driver="edu", bus="rp0")
    assert "PCI" in ask(machine, "device_add", driver="edu", bus="rp0", addr="0")
    ask(machine, "device_add", driver="edu", bus="rp1")
    assert "/machine/peripheral-anon/device[2]" in machine.text("info mtree -o")
