"""The catalogue's devices on modelled boards, beside what real QEMUs of the same version said of them."""

from __future__ import annotations

import pytest

from qshim.devices.errors import DeviceError
from qshim.devices.properties import check_properties
from qshim.devices.recorded import catalogue
from qshim.versions import KNOWN
from tests.devices.oracle import LABELS, Entry, differences, entries
from tests.devices.small import add, small_board

STRIDE = 17
"""Every so many entries are compared here; `python -m tests.devices.oracle` compares all."""

ODD = (
    "qxl", "virtio-gpu-gl", "virtio-vga-gl", "xen-backend", "usb-hub", "usb-storage", "cxl-type3", "blob=on",
    "mc146818rtc", "sp-mem", "x86_64-cpu", "pxb-cxl", "romsize", "hda-", "rocker",
)  # fmt: skip
"""What is known to differ: modules that are not installed, devices on buses of devices, CXL memory, CPUs."""


def sample(label: str) -> list[Entry]:
    chosen = [entry for entry in entries(label) if not any(word in entry.key for word in ODD)]
    return chosen[LABELS.index(label) :: STRIDE]


@pytest.mark.parametrize(("label", "entry"), [pytest.param(x, e, id=f"{x} {e.key}") for x in LABELS for e in sample(x)])
def test_device_is_as_recorded(label: str, entry: Entry) -> None:
    assert differences(label, entry) == []


@pytest.mark.parametrize("label", LABELS)
def test_every_recorded_type_is_known_by_its_data(label: str) -> None:
    known = catalogue(label)
    assert known is not None
    assert len(known.names) > 250
    assert {"VGA", "e1000e", "virtio-net-pci", "isa-serial", "pc-dimm"} <= set(known.names)
    for name in known.names:
        entry = known.entry(name)
        assert entry is not None
        assert "f" in entry or entry["fails"]


@pytest.mark.parametrize(
    ("type_name", "given", "said"),
    [
        ("e1000", {"foo": "1"}, "Property 'e1000.foo' not found"),
        ("e1000", {"multifunction": "maybe"}, "Parameter 'multifunction' expects 'on' or 'off'"),
        ("e1000", {"addr": "20"}, "Property 'e1000.addr' doesn't take value '20'"),
        ("virtio-net-pci", {"vectors": "abc"}, "Parameter 'vectors' expects integer"),
        ("virtio-net-pci", {"vectors": "-5"}, "Parameter 'vectors' expects uint32_t"),
        ("pci-testdev", {"membar": "1x"}, "Parameter 'membar' expects size"),
        ("pcie-root-port", {"chassis": "300"}, "Parameter 'chassis' expects uint8_t"),
        ("ivshmem-plain", {"memdev": "nope"}, "Device 'nope' not found"),
        ("virtio-net-pci", {"disable-legacy": "maybe"}, "Parameter 'disable-legacy' does not accept value 'maybe'"),
    ],
)
def test_property_that_a_type_does_not_take(type_name: str, given: dict[str, str], said: str) -> None:
    board = small_board(KNOWN["11.1"], "q35")
    with pytest.raises(DeviceError) as caught:
        check_properties(board, type_name, given)
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("type_name", "given", "said"),
    [
        ("cirrus-vga", {"vgamem_mb": "2"}, "Invalid cirrus_vga ram size '2'"),
        ("bochs-display", {"vgamem": "2M"}, "bochs-display: video memory too small"),
        ("e1000", {"romsize": "3"}, "ROM size 3 is not a power of two"),
        ("e1000", {"romfile": "nofile.rom"}, 'failed to find romfile "nofile.rom"'),
        ("pci-bridge", {},
         "Bridge chassis not specified. Each bridge is required to be assigned a unique chassis id > 0."),
        ("virtio-net-pci", {"disable-legacy": "on", "disable-modern": "on"},
         "device cannot work as neither modern nor legacy mode is enabled"),
        ("pxb", {"bus_nr": "32"}, "pxb devices cannot reside on a PCIe bus"),
        ("nvme", {}, "serial property not set"),
        ("isa-serial", {"index": "9"}, "Max. supported number of ISA serial ports is 4."),
    ],
)  # fmt: skip
def test_refusal_leaves_nothing(type_name: str, given: dict[str, str], said: str) -> None:
    board = small_board(KNOWN["11.1"], "q35")
    before = [node.path for node in board.root.walk()], [block.idstr for block in board.topology.ram.blocks]
    with pytest.raises(DeviceError) as caught:
        add(board, type_name, "dut", given)
    assert str(caught.value) == said
    assert ([node.path for node in board.root.walk()], [b.idstr for b in board.topology.ram.blocks]) == before
