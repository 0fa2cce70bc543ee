"""HMP command lines: finding commands, flags, QEMU's messages (seen on 7.2, 10.0 and 11.1), and what is kept."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qshim import versions
from qshim.memory import AddressSpace, MemoryRegion, Topology
from qshim.monitor.hmp.catalogue import catalogue
from qshim.monitor.hmp.line import run
from qshim.monitor.hmp.table import HMP, Monitor
from qshim.recording.format import load
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
        ("info jit", "info jit is not modelled by qshim\r\n"),
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


RECORDINGS = Path(__file__).parents[2] / "fixtures"


def recorded(name: str) -> Vm:
    return Vm.from_recording(load(RECORDINGS / name))


def test_instructions_need_capstone_and_its_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    vm = recorded("monitor/hmp/q35-11.1.qrec.xz")
    assert run(vm, "xp/1i 0x1000").startswith("0x00001000:  00 00                    addb ")
    monkeypatch.setitem(sys.modules, "capstone", None)
    assert run(vm, "x/i 0") == (
        "qshim disassembles with capstone, which is not installed: pip install 'qshim[disas]'\r\n"
    )
    riscv = recorded("recordings/11.1/riscv-virt-devices.qrec.xz")
    assert run(riscv, "x/i 0") == "qshim disassembles for x86 and Arm only, not for riscv64\r\n"


def test_a_machine_that_ran_has_no_virtual_addresses() -> None:
    vm = recorded("recordings/11.1/q35-firmware.qrec.xz")
    assert run(vm, "x 0").startswith("qshim holds no CPU state, so it cannot translate virtual addresses")
    assert run(vm, "gva2gpa 0").startswith("qshim holds no CPU state")
    assert run(vm, "xp 0") == "00000000: 0x00000000\r\n"
    assert "cannot translate" in run(vm, 'memsave 0 1 "x"')


def test_the_last_format_is_that_of_the_machine() -> None:
    vm, other = recorded("monitor/hmp/q35-10.0.qrec.xz"), recorded("monitor/hmp/q35-10.0.qrec.xz")
    first, second = Monitor(), Monitor()
    assert run(vm, "xp/2ub 0x1000", first) == "0000000000001000:   0   0\r\n"
    assert run(vm, "xp 0x1000", second) == "0000000000001000:   0\r\n"
    assert run(vm, "p 0xff", second) == "255\r\n"
    assert run(vm, "p/i 5", second) == "5\r\n"
    # i has no size, so the one before it stays
    assert run(vm, "xp/x 0x1000", second) == "0000000000001000: 0x00\r\n"
    assert run(other, "xp 0x1000", first) == "0000000000001000: 0x00000000\r\n"


@pytest.mark.parametrize(
    ("line", "printed"),
    [
        ("p $rip", "0xfff0\r\n"),
        ("p $eip", 'unknown register\r\nTry "help p" for more information\r\n'),
        ("p " + "(" * 200, 'qshim takes 100 nested parentheses, not more\r\nTry "help p" for more information\r\n'),
        ("p 5\0x", "0x5\r\n"),
        ("p " + "-" * 100000 + "5", "0x5\r\n"),
        ("x/400000000xb 0", "qshim prints 16 MiB at once, not more\r\n"),
        (
            "xp 0xfee00000",
            "fee00000: qshim does not model the registers of 'apic-msi', which answers at 0xfee00000\r\n",
        ),
        ("i/b 0x3000", "portb[0x3000] = 0xff\r\n"),
        ("o/b 0x3000 1", ""),
        ("o/b 0x80 1", ""),
        ("o/b 0x70 1", "Error: qshim does not model the registers of 'rtc-index', which answers at port 0x70\r\n"),
        ("info registers 7", "CPU#7 not available\r\n"),
        ("cpu 1", "invalid CPU index\r\n"),
        ("dump-guest-memory -l x", "Error: kdump-lzo is not available now\r\n"),
        ("migrate tcp:x", "Error: migrate is not modelled by qshim\r\n"),
        ("info usbhost", 'Command "info usbhost" is not available.\r\n'),
        ("sum 0 0xfffffff", "00000\r\n"),
    ],
)  # fmt: skip
def test_what_has_no_answer_says_so(line: str, printed: str) -> None:
    assert run(recorded("monitor/hmp/q35-11.1.qrec.xz"), line) == printed


def test_every_modelled_command_is_one_of_qemu() -> None:
    import qshim.monitor.hmp.families

    names = set()
    for dialect in versions.KNOWN:
        for target in ("x86_64", "aarch64", "riscv64"):
            known = catalogue(dialect, target)
            names |= {entry.name for entry in known.commands} | {f"info {entry.name}" for entry in known.info}
    assert qshim.monitor.hmp.families.FAMILIES
    assert HMP.names <= names


def test_targets_have_their_own_commands() -> None:
    assert "lapic" in catalogue("10.0", "x86_64").info_by_name
    assert "lapic" not in catalogue("10.0", "aarch64").info_by_name
    assert catalogue("11.1", "aarch64").info_by_name["lapic"].foreign
