"""Flash commands, VGA in chain-4 mode, IOMMU views; and that devices leave nothing behind."""

from __future__ import annotations

from collections import Counter

import pytest

from qshim.devices.board import Board
from qshim.devices.memory.flash import Flash
from qshim.devices.pci import PciFunction
from qshim.machines.adding import plug_in
from qshim.memory.access import read, write
from qshim.versions import KNOWN
from tests.devices.oracle import LABELS, Entry, entries, sections, started
from tests.devices.small import add, small_board

BASE = 0xFFFE0000


def flash_at(label: str = "11.1") -> tuple[Board, Flash]:
    board = small_board(KNOWN[label], "pc")
    chip = Flash(board, bytes(range(256)) * 512, "system.flash0")
    board.plug(chip)
    assert chip.region is not None
    board.system.add_subregion(chip.region, BASE)
    return board, chip


def poke(board: Board, *values: int, at: int = BASE) -> None:
    for value in values:
        write(board.memory_space, at, bytes((value,)))


def peek(board: Board, at: int = BASE) -> int:
    return read(board.memory_space, at, 1)[0][0]


def test_flash_is_read_directly_until_a_command() -> None:
    board, chip = flash_at()
    assert chip.region is not None
    assert (peek(board, BASE + 7), chip.region.romd_mode) == (7, True)
    poke(board, 0x70)
    assert (peek(board, BASE + 7), chip.region.romd_mode) == (0x80, False)
    poke(board, 0xFF)
    assert (peek(board, BASE + 7), chip.region.romd_mode) == (7, True)


def test_flash_programs_and_erases() -> None:
    board, _ = flash_at()
    poke(board, 0x40, 0x55)
    assert peek(board) == 0x80, "it answers with its status now"
    poke(board, 0xFF)
    assert peek(board) == 0x55
    poke(board, 0x20, 0xD0, 0xFF)
    assert (peek(board), peek(board, BASE + 0xFFF), peek(board, BASE + 0x1000)) == (0xFF, 0xFF, 0)


@pytest.mark.parametrize(("label", "stored"), [("7.2", True), ("10.0", False), ("11.1", False)])
def test_a_buffered_write_of_one_byte(label: str, stored: bool) -> None:
    board, _ = flash_at(label)
    poke(board, 0xE8, 0x00, 0x01, 0xD0, 0xFF)
    assert (peek(board) == 1) == stored
    poke(board, 0xE8, 0x01, 0x02, 0x03, 0xD0, 0xFF)
    assert (peek(board) == 3) == stored, "an error sticks until the status is cleared"
    poke(board, 0x50, 0xE8, 0x01, 0x02, 0x03, 0xD0, 0xFF)
    assert peek(board) == 3


def test_a_reset_shows_the_array_again() -> None:
    board, chip = flash_at()
    poke(board, 0x90)
    assert peek(board, BASE + 7) == 0
    chip.reset()
    assert peek(board, BASE + 7) == 7


def test_chain_4_shows_video_memory() -> None:
    board = small_board(KNOWN["11.1"], "pc")
    card = add(board, "VGA", "v", {})
    assert isinstance(card, PciFunction)

    def out(port: int, value: int) -> None:
        write(board.io_space, port, value.to_bytes(2, "little"))

    def shown() -> list[tuple[int, int]]:
        return [(r.addr, r.size) for r in card.pci_bus.memory.subregions if r.name == "vga.chain4"]

    out(0x3C4, 0x0804)
    assert shown() == []
    out(0x3C4, 0x0F02)
    assert shown() == [(0xA0000, 0x20000)]
    out(0x3CE, 0x0C06)
    assert shown() == [(0xB8000, 0x8000)]
    card.reset()
    assert shown() == []


def test_an_iommu_stands_between_functions_and_memory() -> None:
    board = small_board(KNOWN["11.1"], "q35")
    add(board, "intel-iommu", "iommu", {})
    card = add(board, "edu", "e", {})
    board.machine_done()
    assert isinstance(card, PciFunction)
    assert card.bus_master is not None
    assert card.bus_master.alias is not None
    assert card.bus_master.alias.name == "vtd-01.0"
    assert [space.name for space in board.topology.spaces].count("vtd-root") == 1


def leaving(label: str) -> list[Entry]:
    seen: dict[str, Entry] = {}
    for entry in entries(label):
        if entry.told.get("start") == "ok" and entry.machine in ("pc", "q35") and "x86_64-cpu" not in entry.type_name:
            seen.setdefault(entry.type_name, entry)
    known = [entry for name, entry in sorted(seen.items()) if not name.startswith("qxl")]
    return known[LABELS.index(label) :: 11]


@pytest.mark.parametrize(
    ("label", "entry"), [pytest.param(x, e, id=f"{x} {e.key}") for x in LABELS for e in leaving(x)]
)
def test_a_device_leaves_nothing_behind(label: str, entry: Entry) -> None:
    machine = started(label, entry.machine, entry.extra)
    board = machine.board

    def state() -> object:
        return (
            sections(board),
            Counter((block.idstr, block.used_length) for block in board.topology.ram.blocks),
            sorted(f"{node.path} {node.type_name}" for node in board.root.walk()),
            [space.name for space in board.topology.spaces],
        )

    before = state()
    board.completed = False  # any device may be plugged while the machine is made
    device = plug_in(machine, entry.type_name, "dut", entry.properties)
    assert state() != before or not device.regions
    board.unplug(device)
    assert state() == before
