"""PCI: slots, BARs, bridges and configuration cycles by the rules of spec/x86-boards.md 5."""

from __future__ import annotations

import pytest

from qshim.devices.board import Board
from qshim.devices.errors import DeviceError
from qshim.devices.pci import IO, MEM, MEM64, ConfigMechanism, PciBridge, PciBus, PciFunction, devfn_of
from qshim.memory.access import read, write
from qshim.versions import KNOWN
from tests.devices.small import add, small_board


class Card(PciFunction):
    """A function with one BAR of each kind."""

    def make(self) -> None:
        for index, kind, size in ((0, MEM, 0x20000), (1, IO, 0x40), (2, MEM | MEM64, 0x100000)):
            self.register_bar(index, kind, self.board.io(f"card-{index}", size, self))


@pytest.fixture
def board() -> Board:
    return small_board(KNOWN["11.1"], "pc")


def bus_of(board: Board) -> PciBus:
    bus = board.pci_buses[0]
    assert isinstance(bus, PciBus)
    return bus


def card(board: Board, name: str = "c0", bus: PciBus | None = None, **properties: str) -> Card:
    made = Card(board, "card", device_id=name, properties=properties)
    board.plug(made, bus or bus_of(board), parent=board.peripheral, name=name)
    return made


@pytest.mark.parametrize(("text", "devfn"), [("2", 16), ("06.0", 48), ("1f.7", 255), ("0x3.1", 25)])
def test_address(text: str, devfn: int) -> None:
    assert devfn_of(text, "card") == devfn


@pytest.mark.parametrize("text", ["20", "2.8", "zz", "", "1.", "-2"])
def test_no_address(text: str) -> None:
    with pytest.raises(DeviceError) as caught:
        devfn_of(text, "card")
    assert str(caught.value) == f"Property 'card.addr' doesn't take value '{text}'"


def test_the_lowest_free_slot_is_taken(board: Board) -> None:
    first, wanted = card(board, "a"), card(board, "b", addr="3")
    second, third = card(board, "c"), card(board, "d")
    assert [c.devfn >> 3 for c in (first, wanted, second, third)] == [2, 3, 4, 5]


def test_a_taken_slot_is_told(board: Board) -> None:
    card(board, "a", addr="2")
    with pytest.raises(DeviceError) as caught:
        card(board, "b", addr="2")
    assert str(caught.value) == "PCI: slot 2 function 0 not available for card, in use by card,id=a"


def test_functions_of_a_slot_agree(board: Board) -> None:
    card(board, "a", addr="2")
    with pytest.raises(DeviceError) as caught:
        card(board, "b", addr="2.1")
    assert str(caught.value) == "PCI: single function device can't be populated in function 2.1"
    card(board, "c", addr="3.1")
    with pytest.raises(DeviceError) as caught:
        card(board, "d", addr="3.0")
    assert str(caught.value) == "PCI: 3.0 indicates single function, but 3.1 is already populated."
    card(board, "e", addr="3.0", multifunction="on")


@pytest.mark.parametrize(
    ("offset", "value", "mapped"),
    [
        (0x10, 0xFFFE0000, None), (0x10, 0xFFFC0000, 0xFFFC0000), (0x10, 0xE00FFFFF, 0xE00E0000), (0x10, 0, None),
        (0x14, 0x10001, 0x10000), (0x14, 0xFFFFF000, 0xFFFFF000), (0x14, 0xFFFFFFC0, None),
        (0x14, 0xFFFFFF80, 0xFFFFFF80),
        (0x14, 0, None), (0x14, 0x40, 0x40), (0x14, 0xCC0, 0xCC0),
        (0x18, 0xFFF00000, 0xFFF00000), (0x18, 0xFFFFFFFF_FFF00000, None),
        (0x18, 0xFFFFFFFF_00100000, 0xFFFFFFFF_00100000),
    ],
)  # fmt: skip
def test_where_a_bar_is_mapped(board: Board, offset: int, value: int, mapped: int | None) -> None:
    made = card(board)
    made.config_write(4, 7, 2)
    made.config_write(offset, value & 0xFFFFFFFF, 4)
    if offset == 0x18:
        made.config_write(0x1C, value >> 32, 4)
    bar = next(b for b in made.bars.values() if b.offset == offset)
    assert bar.address == mapped
    assert (bar.region.container is not None) == (mapped is not None)


def test_sizing_and_reset(board: Board) -> None:
    made = card(board)
    for offset, answer in ((0x10, 0xFFFE0000), (0x14, 0xFFFFFFC1), (0x18, 0xFFF00004), (0x1C, 0xFFFFFFFF)):
        made.config_write(offset, 0xFFFFFFFF, 4)
        assert made.config_read(offset, 4) == answer
    made.config_write(0x10, 0xE0000000, 4)
    made.config_write(4, 7, 2)
    assert made.bars[0].region.container is bus_of(board).memory
    made.reset()
    assert made.bars[0].region.container is None
    assert [made.config_read(at, 4) for at in (4, 0x10, 0x14, 0x18)] == [0, 0, 1, 4]


def test_the_newest_of_two_bars_wins(board: Board) -> None:
    old, new = card(board, "a"), card(board, "b")
    for made in (old, new):
        made.config_write(0x10, 0xE0000000, 4)
        made.config_write(4, 2, 2)
    assert bus_of(board).memory.subregions[0] is new.bars[0].region
    old.config_write(0x10, 0xD0000000, 4)
    old.config_write(0x10, 0xE0000000, 4)
    assert bus_of(board).memory.subregions[0] is old.bars[0].region


@pytest.mark.parametrize(("label", "mapped"), [("7.2", True), ("10.0", False), ("11.1", False)])
def test_a_sleeping_function_has_no_bars(label: str, mapped: bool) -> None:
    board = small_board(KNOWN[label], "q35")
    made = add(board, "e1000e", "dut", {})
    assert isinstance(made, PciFunction)
    made.config_write(0x10, 0xE0000000, 4)
    made.config_write(4, 2, 2)
    power = made.capability(1)
    made.config_write(power + 4, 3, 2)
    assert (made.bars[0].address is not None) == mapped
    made.config_write(power + 4, 0, 2)
    assert made.bars[0].address == 0xE0000000


def test_bus_master_follows_the_command_register(board: Board) -> None:
    made = card(board)
    board.machine_done()
    assert made.bus_master is not None
    assert not made.bus_master.enabled
    made.config_write(4, 4, 1)
    assert made.bus_master.enabled
    made.reset()
    assert made.bus_master.enabled, "a reset leaves the alias as it is"


def test_windows_of_a_bridge(board: Board) -> None:
    bridge = add(board, "pci-bridge", "br", {"chassis_nr": "1"})
    assert isinstance(bridge, PciBridge)
    shown = {alias.name: alias for _, alias in bridge.windows.shown}
    assert [(a.addr, a.size) for a in shown.values()] == [(0, 0)] * 3
    bridge.config_write(0x20, 0xE1F0E000, 4)
    bridge.config_write(4, 7, 2)
    (space, memory) = bridge.windows.shown[1]
    assert (memory.name, memory.addr, memory.size, memory.alias_offset) == (
        "pci_bridge_mem",
        0xE0000000,
        0x2000000,
        0xE0000000,
    )
    assert space is bus_of(board).memory
    bridge.reset()
    assert bridge.windows.shown[1][1] is memory, "a reset does not move the windows"
    assert memory.size == 0x2000000
    bridge.config_write(4, 0, 2)
    assert bridge.windows.shown[1][1].size == 0


def test_configuration_cycles_find_the_bus_behind_a_bridge(board: Board) -> None:
    bridge = add(board, "pci-bridge", "br", {"chassis_nr": "1"})
    assert isinstance(bridge, PciBridge)
    inner = card(board, "in", bridge.secondary)
    assert inner.device_path == "0000:00:02.0:00.0"
    root = bus_of(board)
    assert root.function_at(1, 0) is None
    bridge.config_write(0x18, 0x020100, 4)
    assert root.function_at(1, 0) is inner
    bridge.config_write(0x3E, 0x40, 1)
    assert root.function_at(2, 0) is None


def test_ports_cf8_and_cfc(board: Board) -> None:
    made = card(board)
    made.config[0:4] = bytes((0x34, 0x12, 0x78, 0x56))
    mechanism = ConfigMechanism(bus_of(board))
    board.ports.add_subregion(board.io("idx", 4, None, mechanism.index), 0xCF8)
    board.ports.add_subregion(board.io("data", 4, None, mechanism.data), 0xCFC)

    def out(port: int, value: int, size: int) -> None:
        write(board.io_space, port, value.to_bytes(size, "little"))

    def inp(port: int, size: int) -> int:
        return int.from_bytes(read(board.io_space, port, size)[0], "little")

    assert inp(0xCFC, 4) == 0xFFFFFFFF
    out(0xCF8, 0x80000000 | made.devfn << 8, 4)
    assert (inp(0xCFC, 4), inp(0xCFC, 2), inp(0xCFE, 2), inp(0xCFD, 1)) == (0x56781234, 0x1234, 0x5678, 0x12)
    out(0xCF8, 0, 2)
    assert inp(0xCFC, 2) == 0x1234, "only four bytes at once latch an address"
    out(0xCF8, 0x80000000 | 0x1F << 11, 4)
    assert inp(0xCFC, 4) == 0xFFFFFFFF
