"""One script of qtest lines and QMP commands for the drop-in and for a real QEMU: the answers are the same."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.oracle import LABELS, needs

MACHINES = {
    "x86_64": ["-M", "q35", "-m", "128M", "-nodefaults", "-device", "e1000,addr=1"],
    "aarch64": ["-M", "virt,highmem=off", "-m", "128M", "-nodefaults", "-device", "e1000,addr=1"],
}
CONFIG = "outl 0xcf8 0x{:x}"


def drop_in(target: str) -> list[str]:
    code = f"import sys; from qshim.cli.system import {target}; sys.argv[0] = 'qemu'; sys.exit({target}())"
    return [sys.executable, "-c", code]


def script(target: str) -> Iterator[str]:
    """Lines of qtest, and QMP commands in braces."""
    yield from _virt() if target == "aarch64" else _q35()
    # stretches
    ram = 0x40000000 if target == "aarch64" else 0
    yield f"memset {ram + 0x10000:#x} 0x30 0xa5"
    yield f"write {ram + 0x10008:#x} 4 0x01020304"
    yield f"read {ram + 0x10000:#x} 0x20"
    yield f"b64write {ram + 0x20000:#x} 6 AQIDBAUG"
    yield f"b64read {ram + 0x20000:#x} 8"
    yield "nonsense 1 2"
    yield json.dumps({"execute": "query-status"})


def _virt() -> Iterator[str]:
    """BARs through ECAM, on a board whose configuration space has no ports."""
    host, nic = 0x3F000000, 0x3F008000
    yield f"readl {host:#x}"
    yield f"readl {nic:#x}"
    for register in (0x10, 0x14, 0x30):
        yield f"writel {nic | register:#x} 0xffffffff"
        yield f"readl {nic | register:#x}"
        yield f"writel {nic | register:#x} 0x20000000"
        yield f"readl {nic | register:#x}"
    yield f"writew {nic | 4:#x} 0x7"
    yield f"readw {nic | 4:#x}"
    yield json.dumps({"execute": "human-monitor-command", "arguments": {"command-line": "info mtree"}})
    yield f"writel {nic | 0x10:#x} 0"
    yield json.dumps({"execute": "human-monitor-command", "arguments": {"command-line": "info mtree -f"}})
    yield json.dumps({"execute": "system_reset"})
    yield f"readl {nic | 0x10:#x}"
    yield f"readq {nic + 0x8000:#x}"


def _q35() -> Iterator[str]:
    yield "endianness"
    host, nic = 0x80000000, 0x80000800
    # PAM: RAM behind f0000 and c0000, read-only, write-only and both
    yield "writel 0xc0000 0x11223344"
    for value in (0x00, 0x11, 0x22, 0x33):
        yield CONFIG.format(host | 0x90)
        yield f"outl 0xcfc {value * 0x01010101:#x}"
        yield "readl 0xc0000"
        yield "writel 0xc0000 0xcafe0000"
        yield "readl 0xc0000"
        yield "inl 0xcfc"
        yield json.dumps({"execute": "human-monitor-command", "arguments": {"command-line": "info mtree -f"}})
    # BARs: sizes, addresses, mapping
    yield CONFIG.format(nic)
    yield "inl 0xcfc"
    for register in (0x10, 0x14, 0x18, 0x30):
        yield CONFIG.format(nic | register)
        yield "outl 0xcfc 0xffffffff"
        yield "inl 0xcfc"
        yield "outl 0xcfc 0xe0000000"
        yield "inl 0xcfc"
    yield CONFIG.format(nic | 4)
    yield "outw 0xcfc 0x7"
    yield "inw 0xcfc"
    yield json.dumps({"execute": "human-monitor-command", "arguments": {"command-line": "info mtree"}})
    # TSEG: open to SMM alone, a black hole for everybody else
    yield "writeq 0x7f00000 0x1122334455667788"
    yield CONFIG.format(host | 0x9C)
    yield "outl 0xcfc 0x00010a00"
    yield "readq 0x7f00000"
    yield "writeb 0x7f00000 0x55"
    yield "read 0x7effff8 16"
    yield json.dumps({"execute": "system_reset"})
    yield "readq 0x7f00000"
    yield "inw 0x1234"
    yield "inl 0x1235"
    yield "irq_intercept_in ioapic"


class Driven:
    """An emulator that a test program drives: it connects to our sockets, as QEMU's own tests do it."""

    def __init__(self, command: list[str], label: str, target: str) -> None:
        self.folder = tempfile.mkdtemp(prefix="qt")
        listeners = [socket.socket(socket.AF_UNIX) for _ in "tq"]
        paths = [os.path.join(self.folder, name) for name in "tq"]
        for listener, path in zip(listeners, paths, strict=True):
            listener.bind(path)
            listener.listen(1)
            listener.settimeout(30)
        self.process = subprocess.Popen(
            [*command, "-qtest", f"unix:{paths[0]}", "-qtest-log", "/dev/null",
             "-chardev", f"socket,path={paths[1]},id=char0", "-mon", "chardev=char0,mode=control", "-display", "none",
             *MACHINES[target], "-accel", "tcg", "-S"],
            env={**os.environ, "QSHIM_QEMU_VERSION": label},
        )  # fmt: skip
        self.ports = [listener.accept()[0] for listener in listeners]
        self.test, self.monitor = (port.makefile("rw") for port in self.ports)
        for listener in listeners:
            listener.close()

    def qtest(self, line: str) -> str:
        self.test.write(f"{line}\n")
        self.test.flush()
        return self.test.readline().rstrip("\n")

    def qmp(self, text: str) -> Any:
        self.monitor.write(text + "\n")
        self.monitor.flush()
        while True:
            reply = json.loads(self.monitor.readline())
            if "event" not in reply:
                return reply

    def end(self) -> int:
        """SIGTERM; the exit status."""
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        try:
            return self.process.wait(20)
        finally:
            self.process.kill()
            for stream in (self.test, self.monitor):
                stream.close()
            for port in self.ports:
                port.close()
            shutil.rmtree(self.folder)


def answers(command: list[str], label: str, target: str) -> tuple[list[object], int]:
    driven = Driven(command, label, target)
    found: list[object] = []
    try:
        # the first line comes before anybody reads the greeting
        found.append(driven.qtest("endianness"))
        json.loads(driven.monitor.readline())
        driven.qmp('{"execute": "qmp_capabilities"}')
        for line in script(target):
            if not line.startswith("{"):
                found.append(driven.qtest(line))
                continue
            reply = driven.qmp(line)
            if "system_reset" in line:
                driven.qmp('{"execute": "query-status"}')
                time.sleep(0.1)
            if isinstance(reply.get("return"), str):
                reply = sorted(reply["return"].replace(" [MRU]", "").splitlines())
                reply = [row for row in reply if not row.startswith("FlatView #")]
            found.append(reply)
    finally:
        status = driven.end()
    return found, status


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("target", list(MACHINES))
def test_the_same_answers(target: str, label: str) -> None:
    real = needs(label, target)
    ours, own_status = answers(drop_in(target), label, target)
    theirs, status = answers([real], label, target)
    for line, left, right in zip(["endianness", *script(target)], theirs, ours, strict=True):
        assert left == right, line
    assert (own_status, status) == (0, 0)
