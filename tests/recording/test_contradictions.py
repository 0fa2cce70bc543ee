"""Texts that no machine can have printed are refused, with the lines that do not go together."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from qshim.errors import RecordingError
from qshim.memory import MemoryRegion
from qshim.recording.format import FLAT_COMMAND, RAMBLOCK_COMMAND, TREE_COMMAND, QemuVersion, Recording, lines_of
from qshim.recording.infer import infer
from qshim.recording.rebuild import rebuild
from qshim.units import SPACE
from tests.recording.machines import Machine, round_trip


def pc() -> Machine:
    """Something with all that the texts below are spoiled in: RAM, an alias, a device, two equal priorities."""
    machine = Machine()
    root = machine.container("system")
    ram = machine.ram("pc.ram", 0x400000)
    root.add_subregion(machine.alias("ram-below-4g", ram, 0, 0x400000), 0)
    root.add_subregion(machine.io("hpet", 0x400), 0xFED00000)
    root.add_subregion(machine.ram("bios", 0x40000, readonly=True), 0xFFFC0000)
    machine.space("memory", root)
    machine.space("I/O", machine.io("io", 0x10000))
    return machine


def refused(edit: Callable[[Recording], Recording], machine: Machine | None = None) -> str:
    """The sentence with which the edited recording of *machine* is refused."""
    recording = edit((machine or pc()).recording())
    with pytest.raises(RecordingError) as error:
        rebuild(recording)
    return str(error.value)


def replaced(command: str, old: str, new: str) -> Callable[[Recording], Recording]:
    """An edit of one text: the regular expression *old*, which must match, becomes *new* everywhere."""

    def edit(recording: Recording) -> Recording:
        text = "\n".join(recording.hmp[command])
        assert re.search(old, text, re.M), f"{old!r} does not stand in\n{text}"
        hmp = {**recording.hmp, command: lines_of(re.sub(old, new, text, flags=re.M) + "\n")}
        return replace(recording, hmp=hmp)

    return edit


def test_the_machine_is_sound_before_it_is_spoiled() -> None:
    assert round_trip(pc()).differences == []


@pytest.mark.parametrize("command", [TREE_COMMAND, FLAT_COMMAND])
def test_a_truncated_text_is_refused_wherever_it_is_cut(command: str) -> None:
    recording = pc().recording()
    lines = recording.hmp[command]
    blocks = [n + 1 for n, line in enumerate(lines) if not line]
    for cut in sorted(set(range(len(lines))) - {*blocks}):
        spoiled = replace(recording, hmp={**recording.hmp, command: lines[:cut]})
        with pytest.raises(RecordingError, match=re.escape(command)):
            rebuild(spoiled)


def test_a_text_cut_between_two_blocks_misses_what_the_other_text_names() -> None:
    recording = pc().recording()
    for command in (TREE_COMMAND, FLAT_COMMAND):
        lines = recording.hmp[command]
        for cut in [n + 1 for n, line in enumerate(lines) if not line][:-1]:
            with pytest.raises(RecordingError):
                rebuild(replace(recording, hmp={**recording.hmp, command: lines[:cut]}))


@pytest.mark.parametrize("command", [TREE_COMMAND, FLAT_COMMAND, RAMBLOCK_COMMAND])
@pytest.mark.parametrize("foreign", ["", "info: unknown", "  (qemu) info mtree", "FlatView #0"])
def test_a_foreign_text_is_refused_with_its_line(command: str, foreign: str) -> None:
    said = refused(lambda recording: replace(recording, hmp={**recording.hmp, command: (foreign,)}))
    assert command in said


def test_a_recording_without_a_tree_names_what_to_record() -> None:
    said = refused(lambda recording: replace(recording, hmp={}))
    assert said == "the recording of test (x86_64, QEMU 10.0.0) has no 'info mtree'; record 'info mtree -o -D'"


def test_a_range_that_no_region_explains() -> None:
    said = refused(replaced(FLAT_COMMAND, r"i/o\): hpet", "i/o): hpet2"))
    assert said == (
        "the recording contradicts itself: no flat view fits the address space 'memory': "
        "'info mtree' has '0000000000000000-ffffffffffffffff (prio 0, i/o): system'"
    )
    said = refused(
        replaced(FLAT_COMMAND, r"^  00000000fed00000-00000000fed003ff", "  00000000fed00000-00000000fed007ff")
    )
    assert said == (
        "the recording contradicts itself: no region explains this range: "
        "'info mtree -f' has '00000000fed00000-00000000fed007ff (prio 0, i/o): hpet'"
    )


def test_a_hole_where_terminating_memory_is() -> None:
    said = refused(replaced(FLAT_COMMAND, r"^  00000000fffc0000-.*\n", ""))
    assert said == (
        "the recording contradicts itself: nothing is shown at 0xfffc0000, though this region is there: "
        "'info mtree' has '00000000fffc0000-00000000ffffffff (prio 0, rom): bios'"
    )


def test_memory_in_front_of_what_is_shown() -> None:
    machine = pc()
    root = machine.topology.spaces[0].root
    below = machine.ram("below", 0x1000)
    root.add_subregion(below, 0x10000000, 0)
    root.add_subregion(machine.ram("above", 0x1000), 0x10000000, 5)
    # the reader is told that the one with the lower priority won
    said = refused(replaced(FLAT_COMMAND, r"\(prio 5, ram\): above", "(prio 0, ram): below"), machine)
    assert "this region should be in front of the range" in said
    assert "'info mtree' has '0000000010000000-0000000010000fff (prio 5, ram): above'" in said
    assert "'info mtree -f' has '0000000010000000-0000000010000fff (prio 0, ram): below'" in said


def test_siblings_each_of_which_must_be_in_front_of_the_other() -> None:
    machine = pc()
    root = machine.topology.spaces[0].root
    root.add_subregion(machine.ram("one", 0x3000), 0x10000000)
    root.add_subregion(machine.ram("two", 0x3000), 0x10001000)
    said = refused(
        replaced(
            FLAT_COMMAND,
            r"^.*: one.*\n.*: two.*$",
            "  0000000010000000-0000000010001fff (prio 0, ram): one orphan\n"
            "  0000000010002000-0000000010002fff (prio 0, ram): two @0000000000001000 orphan\n"
            "  0000000010003000-0000000010003fff (prio 0, ram): two @0000000000002000 orphan",
        ),
        machine,
    )
    assert said == (
        "the recording contradicts itself: each of these would have to be in front of the other in 'system': "
        "'info mtree' has '0000000010000000-0000000010002fff (prio 0, ram): one'; "
        "'info mtree' has '0000000010001000-0000000010003fff (prio 0, ram): two'"
    )


def test_ram_without_a_block() -> None:
    said = refused(replaced(RAMBLOCK_COMMAND, r"^ +pc\.ram", "                 pc.ram2"))
    assert said == (
        "the recording contradicts itself: 'info ramblock' has no free block for 0x400000 bytes of this RAM: "
        "'info mtree' has '0000000000000000-00000000003fffff (prio 0, ram): pc.ram'"
    )
    said = refused(replaced(RAMBLOCK_COMMAND, r"^( +bios.*)0x0000000000040000 0x0000000000040000", r"\g<1>0x0 0x0"))
    assert "'info ramblock' line 3" in said


def test_a_block_that_is_read_only_while_its_region_is_not() -> None:
    said = refused(replaced(RAMBLOCK_COMMAND, r"^( +pc\.ram.*) rw$", r"\1 ro"))
    assert said == (
        "the recording contradicts itself: 'info ramblock' says ro of block 'pc.ram', the tree does not: "
        "'info mtree' has '0000000000000000-00000000003fffff (prio 0, ram): pc.ram'"
    )


def test_blocks_in_an_order_that_qemu_does_not_keep() -> None:
    said = refused(replaced(RAMBLOCK_COMMAND, r"^( +pc\.ram.*)\n( +bios.*)$", r"\2\n\1"))
    assert said == (
        "the recording contradicts itself: 'info ramblock' lists block 'bios' with a total of 0x40000 before "
        "'pc.ram' with 0x400000; QEMU lists the larger one first"
    )


def test_blocks_that_overlap() -> None:
    said = refused(replaced(RAMBLOCK_COMMAND, r"^( +bios +4 KiB  0x)0{10}4", r"\g<1>00000000000"))
    assert "overlap" in said


def test_an_alias_without_its_section() -> None:
    said = refused(replaced(TREE_COMMAND, r"^memory-region: pc\.ram\n.*\n\n?", ""))
    assert "an alias whose target has no 'memory-region:' section; is the text complete?" in said
    assert said.startswith("'info mtree -o -D' line ")


def test_an_alias_that_shows_itself_without_end() -> None:
    machine = Machine()
    root = machine.container("system")
    root.add_subregion(machine.io("device", 0x1000), 0)
    root.add_subregion(machine.alias("loop", root, 0x1000, 0x1000), 0x2000)
    machine.space("memory", root)
    said = refused(replaced(TREE_COMMAND, r"(loop @system )\S+", r"\g<1>0000000000002000-0000000000002fff"), machine)
    assert "an alias shows itself without end" in said


def test_a_view_of_nobody() -> None:
    said = refused(replaced(TREE_COMMAND, r"^address-space: I/O\n.*\n\n", ""))
    assert "'info mtree' has no address space 'I/O' with the root 'io'" in said


def test_read_only_through_regions_that_also_show_something_writable() -> None:
    machine = Machine()
    root = machine.container("system")
    root.add_subregion(machine.ram("ram", 0x2000), 0x10000)
    root.add_subregion(machine.io("device", 0x1000), 0)
    machine.space("memory", root)
    said = refused(replaced(FLAT_COMMAND, r"\(prio 0, ram\): ram", "(prio 0, rom): ram"), machine)
    assert "a read-only range, but all regions on the way to it also show something writable" in said


def test_a_range_that_is_non_volatile_only_in_one_text() -> None:
    said = refused(replaced(FLAT_COMMAND, r"\(prio 0, ram\): pc\.ram", "(prio 0, nv-ram): pc.ram"))
    assert "non-volatile" in said


def test_ranges_that_overlap() -> None:
    said = refused(
        replaced(FLAT_COMMAND, r"^(  00000000fed00000-00000000fed003ff.*)$", r"\1\n\1"),
    )
    assert "a flat range that starts before the one in front of it ends" in said


def test_regions_in_an_order_that_qemu_does_not_print() -> None:
    said = refused(replaced(TREE_COMMAND, r"^(    .*: hpet.*)\n(    .*: bios.*)$", r"\2\n\1"))
    assert "regions are printed by address, then by descending priority: 'info mtree' has '00000000fffc0000-" in said


def test_an_overflow_without_its_warning() -> None:
    said = refused(
        replaced(TREE_COMMAND, r"^    00000000fffc0000-00000000ffffffff", "    00000000fffc0000-0000000000000fff")
    )
    assert "[DETECTED OVERFLOW!] stands, or is missing, in front of this region" in said


def test_a_missing_parent_line() -> None:
    said = refused(replaced(TREE_COMMAND, r"^    (0000000000000000-00000000003fffff.*ram-below)", r"      \1"))
    assert "the line of the region above is missing" in said


def test_texts_without_owners_that_allow_too_much_are_refused_in_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qshim.recording.infer.sight._TOO_MANY", 50)
    machine = Machine()
    target = machine.container("part", 0x1000)
    for number in range(10):
        target.add_subregion(machine.io(f"register{number}", 0x10), number * 0x10)
    root = machine.container("system")
    for number in range(10):
        root.add_subregion(machine.alias(f"window{number}", target, 0, 0x1000), number * 0x1000)
    machine.space("memory", root)
    with pytest.raises(RecordingError, match="'system' shows more than 50 regions; do the texts have owners"):
        infer(machine.recording())


def test_nothing_but_a_recording_error_whatever_line_is_missing_or_doubled() -> None:
    recording = pc().recording()
    for command in (TREE_COMMAND, FLAT_COMMAND, RAMBLOCK_COMMAND):
        lines = recording.hmp[command]
        for at in range(len(lines)):
            for spoiled in (lines[:at] + lines[at + 1 :], lines[: at + 1] + lines[at:]):
                try:
                    rebuild(replace(recording, hmp={**recording.hmp, command: spoiled}))
                except RecordingError:
                    continue


def test_a_whole_space_of_nothing_is_a_machine() -> None:
    machine = Machine()
    machine.space("memory", MemoryRegion(machine.topology, "system", SPACE))
    machine.space("I/O", machine.io("io", 0x10000))
    assert round_trip(machine).differences == []
    assert infer(machine.recording()).page_bits == 12
    assert Recording(QemuVersion(7, 2)).hmp == {}
