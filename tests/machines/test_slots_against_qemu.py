"""Slots of PCI Express ports beside real QEMU: power, lamps, events, and cards that come and go.

The same QMP commands and qtest lines go to the drop-in and to QEMU; registers are read after each step.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.oracle import needs

SECONDS = 30
CARDS = ("-device", "pcie-root-port,id=rp0,chassis=1,slot=1,addr=3.0", "-device", "e1000e,bus=rp0,id=n",
         "-device", "pcie-root-port,id=rp1,chassis=2,slot=2,addr=4.0", "-device", "virtio-net-pci,bus=rp1,id=v",
         "-device", "pcie-root-port,id=rp2,chassis=3,slot=3,addr=5.0")  # fmt: skip
MACHINES = {
    "virt": ("aarch64", ("-M", "virt")),
    "q35": ("x86_64", ("-M", "q35")),
    "q35-native": ("x86_64", ("-M", "q35", "-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off")),
}
ECAM = 0x4010000000
CONTROL, STATUS, LINK = 0x6C, 0x6E, 0x64
RESET = '{"execute": "system_reset"}'

Step = str | tuple[str, int, int, int]
"""A QMP command, or (what: r or w, port, register, value), of two bytes."""


def plugged(name: str, **arguments: str) -> str:
    return json.dumps({"execute": name, "arguments": arguments})


SCRIPTS: dict[str, list[Step]] = {
    "switched off": [("w", 3, CONTROL, 0x7C0), ("r", 3, LINK + 2, 0), ("w", 4, CONTROL, 0x755), ("w", 4, STATUS, 0x18)],
    "lamp after power": [("w", 3, CONTROL, 0x400), ("w", 3, CONTROL, 0x700), RESET, ("r", 3, CONTROL, 0),
                         ("r", 4, CONTROL, 0), ("r", 5, CONTROL, 0)],
    "events cleared": [("w", 5, CONTROL, 0), ("w", 5, STATUS, 0x10), ("w", 5, CONTROL, 0x7C0), ("w", 5, STATUS, 0x19),
                       ("w", 5, STATUS, 0x1)],
    "asked to leave": [plugged("device_del", id="v"), ("r", 4, STATUS, 0), plugged("device_del", id="v"),
                       ("w", 4, CONTROL, 0x7C0), ("r", 4, STATUS, 0), plugged("device_del", id="v")],
    "asked, and reset": [plugged("device_del", id="n"), RESET, ("r", 3, STATUS, 0), plugged("device_del", id="n")],
    "came and left": [plugged("device_add", driver="e1000", bus="rp2", id="z"), ("r", 5, STATUS, 0),
                      plugged("device_del", id="z"), ("r", 5, STATUS, 0), ("w", 5, STATUS, 0x19)],
    "links": [("r", 3, LINK + 2, 0), ("r", 4, LINK + 2, 0), ("r", 5, LINK + 2, 0),
              plugged("device_add", driver="e1000", bus="rp2", id="z"), ("r", 5, LINK + 2, 0),
              ("w", 3, CONTROL, 0x7C0), ("r", 3, LINK + 2, 0)],
    "a second card": [plugged("device_add", driver="edu", bus="rp0", id="y", addr="7"), ("r", 3, STATUS, 0),
                      plugged("device_add", driver="edu", bus="rp0", id="z"), ("r", 3, STATUS, 0)],
}  # fmt: skip


class Machine:
    """A process with a QMP monitor and a qtest socket."""

    def __init__(self, command: Sequence[str], label: str, words: Sequence[str], folder: Path) -> None:
        folder.mkdir()
        sockets = ("-qmp", f"unix:{folder}/q,server=on,wait=off", "-qtest", f"unix:{folder}/t,server=on,wait=off")
        self._process = subprocess.Popen(
            [*command, *words, "-nodefaults", "-display", "none", "-S", *sockets, "-qtest-log", "/dev/null"],
            stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "QSHIM_QEMU_VERSION": label},
        )  # fmt: skip
        self._sockets: list[socket.socket] = []
        self._test, self._qmp = (self._open(folder / name) for name in "tq")
        self._qmp.readline()
        self.qmp('{"execute": "qmp_capabilities"}')

    def _open(self, path: Path) -> Any:
        until = time.monotonic() + SECONDS
        while True:
            peer = socket.socket(socket.AF_UNIX)
            try:
                peer.connect(str(path))
                break
            except OSError:
                peer.close()
                assert time.monotonic() < until
                time.sleep(0.01)
        peer.settimeout(SECONDS)
        self._sockets.append(peer)
        return peer.makefile("rwb", buffering=0)

    def line(self, text: str) -> str:
        self._test.write(text.encode() + b"\n")
        reply: str = self._test.readline().decode().strip()
        return "OK" if reply == "OK" else f"{int(reply.split()[1], 16) & 0xFFFF:#x}"

    def qmp(self, command: str) -> str:
        """The reply; events of devices that are gone come when QEMU gets round to it."""
        self._qmp.write(command.encode() + b"\n")
        while True:
            reply: str = self._qmp.readline().decode()
            if '"event"' not in reply:
                return reply

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        for each in (self._test, self._qmp, *self._sockets):
            each.close()


def told(machine: Machine, target: str, script: Sequence[Step]) -> list[str]:
    said = []

    def register(what: str, port: int, offset: int, value: int) -> str:
        if target == "x86_64":
            machine.line(f"outl 0xcf8 {0x80000000 | port << 11 | offset & ~3:#x}")
            where = 0xCFC + offset % 4
            return machine.line(f"inw {where:#x}" if what == "r" else f"outw {where:#x} {value:#x}")
        where = ECAM + (port << 15) + offset
        return machine.line(f"readw {where:#x}" if what == "r" else f"writew {where:#x} {value:#x}")

    for step in script:
        if isinstance(step, str):
            said.append(machine.qmp(step))
        else:
            said.append(register(*step))
            said.append(register("r", step[1], CONTROL, 0))
            said.append(register("r", step[1], STATUS, 0))
    names = machine.qmp('{"execute": "qom-list", "arguments": {"path": "/machine/peripheral"}}')
    return [*said, " ".join(sorted(re.findall(r'"name": "(\w+)"', names)))]


@pytest.mark.parametrize("label", ["7.2", "10.0", "11.1"])
@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("name", MACHINES)
def test_slots(name: str, script: str, label: str, tmp_path: Path) -> None:
    target, words = MACHINES[name]
    code = f"import sys; from qshim.cli.system import {target}; sys.exit({target}())"
    answers = []
    for place, command in (("real", [needs(label, target)]), ("ours", [sys.executable, "-c", code])):
        machine = Machine(command, label, [*words, *CARDS], tmp_path / place)
        try:
            answers.append(told(machine, target, SCRIPTS[script]))
        finally:
            machine.end()
    assert answers[1] == answers[0]
