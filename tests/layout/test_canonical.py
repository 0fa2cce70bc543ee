"""What may differ between two processes of one machine goes, everything else stays."""

from __future__ import annotations

from dataclasses import replace

from qshim.layout.canonical import CANNOT_COMPARE, canonical, without_kvm
from qshim.layout.verify import comparable, verify
from qshim.recording.format import FLAT_COMMAND
from qshim.recording.rebuild import rebuild
from tests.recording.machines import Machine

GROUPS = "address-space: b\n  1\n\naddress-space: a\naddress-space: c\n  2\n\n"
SECTIONS = "memory-region: y\n  3\n\nmemory-region: x\n  4\n\n"
FLAT = 'FlatView #1\n AS "b", root: r\n\nFlatView #0\n AS "a", root: r\n\n'


def test_blocks_in_hash_order_are_sorted() -> None:
    swapped = "address-space: a\naddress-space: c\n  2\n\naddress-space: b\n  1\n\n"
    swapped += "memory-region: x\n  4\n\nmemory-region: y\n  3\n\n"
    assert canonical(GROUPS + SECTIONS) == canonical(swapped)
    assert canonical(GROUPS + SECTIONS) != canonical(GROUPS + SECTIONS.replace("3", "5"))
    assert canonical(FLAT) == canonical(
        'FlatView #0\r\n AS "a", root: r\r\n\r\nFlatView #1\r\n AS "b", root: r\r\n\r\n'
    )
    assert canonical(FLAT) != canonical(FLAT.replace('"a"', '"d"'))


def test_the_order_inside_a_block_stays() -> None:
    assert canonical("address-space: a\n  1\n  2\n\n") != canonical("address-space: a\n  2\n  1\n\n")
    assert canonical("address-space: a\naddress-space: b\n  1\n\n") != canonical(
        "address-space: b\naddress-space: a\n  1\n\n"
    )


def test_marks_of_the_moment_go() -> None:
    section = "      #1 @0000000000000000..0000000000000fff a [not dirty] [MRU] [iommu]"
    assert canonical(section) == [section.replace(" [MRU]", "")]
    assert canonical("  name [MRU]") == ["  name [MRU]"]
    row = "  pc.ram    4 KiB  0x0000000000000000 0x0000000008000000 0x0000000008000000 {}  rw"
    assert canonical(row.format("0x00007fbc1be00000")) == canonical(row.format("0x00007f0000000000"))
    assert canonical(row.format("0x00007fbc1be00000")) != canonical(
        row.replace("rw", "ro").format("0x00007fbc1be00000")
    )


def test_kvm_goes_only_when_asked() -> None:
    line = "  0000000000000000-0000000000000fff (prio 0, ram): ram KVM KVM"
    assert canonical(line) == [line]
    assert without_kvm([line, "about KVM"]) == [line.removesuffix(" KVM KVM"), "about KVM"]


def test_every_allowance_has_its_reason() -> None:
    assert len({allowance.name for allowance in CANNOT_COMPARE}) == len(CANNOT_COMPARE)
    assert all(len(allowance.reason) > 20 for allowance in CANNOT_COMPARE)


def test_a_machine_that_prints_something_else_is_told_with_a_diff() -> None:
    machine = Machine()
    root = machine.container("system")
    root.add_subregion(machine.io("one", 0x1000), 0)
    root.add_subregion(machine.io("two", 0x1000), 0x2000)
    machine.space("memory", root)
    recording = machine.recording()
    rebuilt = rebuild(recording)
    assert list(verify(recording, rebuilt)) == []
    spoiled = tuple(line.replace("): two", "): three") for line in recording.hmp[FLAT_COMMAND])
    wrong = replace(recording, hmp={**recording.hmp, FLAT_COMMAND: spoiled})
    (difference,) = verify(wrong, rebuilt)
    assert difference.command == FLAT_COMMAND
    assert any(line.startswith("-") and "three" in line for line in difference.lines)
    assert any(line.startswith("+") and "two" in line for line in difference.lines)
    assert len(comparable(recording)) == 5
