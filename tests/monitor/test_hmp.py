"""HMP command lines: finding commands, flags, QEMU's messages (seen on 7.2, 10.0 and 11.1), and what is kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from qshim import versions
from qshim.memory import AddressSpace, MemoryRegion, Topology
from qshim.monitor.hmp.line import run
from qshim.vm import Vm

TRY = 'Try "help info mtree" for more information\r\n'


@pytest.mark.parametrize(
    ("line", "printed"),
    [
        ("", ""),
        ("  \t", ""),
        ("nosuch arg", "unknown command: 'nosuch'\r\n"),
        (" nosuch/x", "unknown command: ' nosuch'\r\n"),
        ("info nosuch x", "unknown command: 'info nosuch'\r\n"),
        ("  info  nosuch zz", "unknown command: '  info  nosuch'\r\n"),
        ("in", "unknown command: 'in'\r\n"),
        ("INFO mtree", "unknown command: 'INFO'\r\n"),
        ("info mtree-f", "unknown command: 'info mtree-f'\r\n"),
        ("info/mtree", "unknown command: 'info'\r\n"),
        ("\u00e9", "unknown command: '\u00e9'\r\n"),
        ("info mtree -x", "mtree: unsupported option -x\r\n" + TRY),
        ("info mtree -", "mtree: unsupported option -" + TRY),
        ("info mtree - f", "mtree: unsupported option - \r\n" + TRY),
        ("info mtree -\u00e9", "mtree: unsupported option -\udcc3\r\n" + TRY),
        ("info mtree -o -f", "mtree: unsupported option -f\r\n" + TRY),
        ("info mtree -f -o -d", "mtree: unsupported option -d\r\n" + TRY),
        ("info mtree -f -f", "mtree: unsupported option -f\r\n" + TRY),
        ("info mtree -fd", "mtree: extraneous characters at the end of line\r\n" + TRY),
        ("info mtree x", "mtree: extraneous characters at the end of line\r\n" + TRY),
        ("info mtree/x", "mtree: extraneous characters at the end of line\r\n" + TRY),
        ("info mtree -f x", "mtree: extraneous characters at the end of line\r\n" + TRY),
        ("info  mtree -q", 'mtree: unsupported option -q\r\nTry "help info  mtree" for more information\r\n'),
        ("  info mtree -q", 'mtree: unsupported option -q\r\nTry "help   info mtree" for more information\r\n'),
        ("info\nmtree -q", 'mtree: unsupported option -q\r\nTry "help info\r\nmtree" for more information\r\n'),
        (
            "info status extra",
            'status: extraneous characters at the end of line\r\nTry "help info status" for more information\r\n',
        ),
        ("info status", "VM status: paused (prelaunch)\r\n"),
        ("info name", "vmx\r\n"),
        ("info tlb", "info tlb is not modelled by qshim\r\n"),
    ],
)
@pytest.mark.parametrize("dialect", versions.KNOWN)
def test_lines(vm_of: Callable[..., Any], dialect: str, line: str, printed: str) -> None:
    assert run(vm_of(dialect, name="vmx"), line) == printed


def test_version_and_status(vm_of: Callable[..., Any]) -> None:
    vm = vm_of("7.2")
    assert run(vm, "info version") == "7.2.0qshim\r\n"
    assert run(vm, "info name") == ""
    vm.run_state = "running"
    assert run(vm, "info status") == "VM status: running\r\n"
    vm.run_state = "paused"
    assert run(vm, "info status") == "VM status: paused\r\n"


@pytest.fixture
def small() -> tuple[Vm, MemoryRegion]:
    topology = Topology()
    with topology.transaction():
        root = MemoryRegion(topology, "system", 1 << 64)
        device = MemoryRegion.io(topology, "device", 0x1000)
        root.add_subregion(device, 0x1000)
    AddressSpace(topology, root, "memory")
    return Vm(topology), device


def test_flags_choose_the_view(small: tuple[Vm, MemoryRegion]) -> None:
    vm, _ = small
    tree = run(vm, "info mtree")
    assert tree.startswith(
        "address-space: memory\r\n  0000000000000000-ffffffffffffffff (prio 0, container): system\r\n"
    )
    assert run(vm, "info mtree -f").startswith('FlatView #0\r\n AS "memory", root: system\r\n')
    assert "Dispatch" in run(vm, "info mtree -f -d")
    assert run(vm, "info  mtree   -o ") != tree
    # -d counts only with -f, -D only without
    assert run(vm, "info mtree -d") == tree
    assert run(vm, "info mtree -f -D") == run(vm, "info mtree -f")


def test_text_is_made_once_until_the_memory_changes(small: tuple[Vm, MemoryRegion]) -> None:
    vm, device = small
    for line in ("info mtree", "info mtree -f", "info ramblock"):
        assert run(vm, line) is run(vm, line)
    before = run(vm, "info mtree")
    assert "device" in before
    device.set_enabled(False)
    assert "device" not in run(vm, "info mtree")
    assert run(vm, "info mtree -D") != run(vm, "info mtree")
    device.set_enabled(True)
    assert run(vm, "info mtree") == before
