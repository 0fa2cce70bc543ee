"""Buses that take no cards while the machine runs: bridges and ports without a controller, beside real QEMU."""

from __future__ import annotations

import pytest

from tests.support import oracle
from tests.sweep.hotplug import Message, Ours, Theirs

BOARDS = {
    "virt": ("aarch64", "-M virt"),
    "q35": ("x86_64", "-M q35"),
    "q35-native": ("x86_64", "-M q35 -global ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off"),
}
DEVICES = (
    "-device pcie-root-port,id=off,chassis=1,hotplug=off -device pcie-root-port,id=full,chassis=2,hotplug=off"
    " -device e1000,id=cold,bus=full -device pcie-root-port,id=on,chassis=3"
    " -device x3130-upstream,id=up,bus=on -device xio3130-downstream,id=down,bus=up,chassis=4"
    " -device xio3130-downstream,id=downoff,bus=up,chassis=5,hotplug=off,addr=1 -device i82801b11-bridge,id=dmi"
    " -device pci-bridge,id=plain,chassis_nr=5,shpc=off -device e1000,id=cold2,bus=plain,addr=3"
    " -device pci-bridge,id=own,chassis_nr=6,shpc=on"
)
STEPS: list[Message] = [
    *(
        {"execute": "device_add", "arguments": {"driver": driver, "bus": bus, "id": f"{bus}-{driver}"}}
        for bus in ("off", "up", "down", "downoff", "dmi", "plain", "own")
        # parts of a card that was refused late are told of
        for driver in ("e1000", "virtio-rng-pci")
    ),
    {"execute": "device_add", "arguments": {"driver": "e1000", "bus": "plain", "id": "four", "addr": "4"}},
    *({"execute": "device_del", "arguments": {"id": name}} for name in ("cold", "cold2", "cold")),
]


@pytest.mark.parametrize("label", ["7.2", "10.0", "11.1"])
@pytest.mark.parametrize("board", BOARDS)
def test_replies_and_events(board: str, label: str) -> None:
    target, line = BOARDS[board]
    oracle.needs(label, target)
    words = [*line.split(), "-nodefaults", "-m", "1G", *DEVICES.split()]
    real, mine = Theirs(label, words, target), Ours(label, words, target)
    try:
        for step in STEPS:
            assert mine.ask(step) == real.ask(step), step
            # events may come after their reply
            real.ask({"execute": "query-status"})
            assert mine.events == real.events, step
    finally:
        real.stop()
