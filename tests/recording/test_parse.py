"""Names and lines that are easy to misread (spec/recordings.md 4), and the complaint about what cannot be read."""

from __future__ import annotations

import re

import pytest

from qshim.errors import RecordingError
from qshim.recording.parse import iommu_starts, parse_blocks, parse_flat, parse_qom_tree, parse_tree
from qshim.rows import AliasRow, BlockRow, OwnerRow, RegionRow

SPAN = "0000000000000000-0000000000000fff"


def tree_of(*lines: str, sections: str = "") -> str:
    body = "".join(f"{line}\n" for line in lines)
    return f"address-space: memory\n  {SPAN} (prio 0, i/o): system\n{body}\n{sections}"


def section(name: str) -> str:
    return f"memory-region: {name}\n  {SPAN} (prio 0, ram): {name}\n\n"


def only(text: str) -> RegionRow:
    """The row behind the root of a one-line tree."""
    return parse_tree(text).groups[0].regions[1]


def test_a_plain_name_with_at_is_no_alias() -> None:
    row = only(tree_of(f"    {SPAN} (prio 0, i/o): CMSDK APB peripheral region @0x40000000"))
    assert (row.name, row.alias) == ("CMSDK APB peripheral region @0x40000000", None)


def test_a_plain_name_that_begins_like_an_alias_is_none() -> None:
    row = only(tree_of(f"    {SPAN} (prio 0, i/o): alias table", sections=section("table")))
    assert (row.name, row.alias) == ("alias table", None)


def test_an_alias_is_split_where_a_printed_section_is_named() -> None:
    line = f"    {SPAN} (prio 0, ram): alias a @b c @d @e {SPAN} [disabled]"
    row = only(tree_of(line, sections=section("d @e")))
    assert (row.name, row.alias, row.disabled) == ("a @b c", AliasRow("d @e", 0, 0xFFF), True)
    row = only(tree_of(line, sections=section("b c @d @e")))
    assert (row.name, row.alias) == ("a", AliasRow("b c @d @e", 0, 0xFFF))


def test_an_alias_without_section_is_refused() -> None:
    with pytest.raises(RecordingError, match=r"'info mtree' line 3: an alias whose target has no 'memory-region:'"):
        parse_tree(tree_of(f"    {SPAN} (prio 0, ram): alias a @b {SPAN}"))


@pytest.mark.parametrize(
    ("text", "owner", "parent"),
    [
        (" orphan", None, None),
        (" owner:{dev id=nv1}", OwnerRow(True, "id", "nv1"), None),
        (" parent:{obj path=/machine/unattached}", None, OwnerRow(False, "path", "/machine/unattached")),
        (
            " owner:{obj type=memory-region-portio-list} parent:{dev path=/machine/unattached/device[3]}",
            OwnerRow(False, "type", "memory-region-portio-list"),
            OwnerRow(True, "path", "/machine/unattached/device[3]"),
        ),
        (" owner:{dev path=/a b/c}d}", OwnerRow(True, "path", "/a b/c}d"), None),
    ],
)
def test_owner_texts(text: str, owner: OwnerRow | None, parent: OwnerRow | None) -> None:
    line = f"  {SPAN} (prio -1, nv-ram): a owner: b [disabled]{text}"
    rows = parse_tree(f"address-space: memory\n{line}\n\n")
    (row,) = rows.groups[0].regions
    assert rows.owners
    assert (row.name, row.owner, row.parent, row.disabled) == ("a owner: b", owner, parent, True)
    assert (row.priority, row.type, row.nonvolatile) == (-1, "ram", True)


def test_an_owner_on_one_line_is_asked_of_every_line() -> None:
    text = f"address-space: memory\n  {SPAN} (prio 0, i/o): a orphan\n    {SPAN} (prio 0, i/o): b\n\n"
    with pytest.raises(RecordingError, match="line 3: no owner, though the lines before have one"):
        parse_tree(text)


def test_the_overflow_warning_stands_in_front_of_the_indentation() -> None:
    row = only(tree_of(f"[DETECTED OVERFLOW!]     {SPAN} (prio 0, i/o): far"))
    assert row.overflow
    assert row.level == 2


def test_a_disabled_region_in_a_text_without_them_is_refused() -> None:
    with pytest.raises(RecordingError, match="made without -D"):
        parse_tree(tree_of(f"    {SPAN} (prio 0, i/o): a [disabled]"), disabled=False)


@pytest.mark.parametrize(
    "line",
    [
        f"   {SPAN} (prio 0, i/o): odd indentation",
        f"    {SPAN} (prio x, i/o): no number",
        f"    {SPAN} (prio 0, flash): no type",
        "    0-fff (prio 0, i/o): short",
        "address-space: inside",
    ],
)
def test_a_line_that_is_none_is_refused_by_number(line: str) -> None:
    with pytest.raises(RecordingError, match=re.escape(f"'info mtree' line 3: no line of a memory region: {line!r}")):
        parse_tree(tree_of(line))


def flat_of(*ranges: str, spaces: str = ' AS "memory", root: system\n') -> str:
    body = "".join(f"  {SPAN} (prio 0, ram): {name}\n" for name in ranges) or "  No rendered FlatView\n"
    return f"FlatView #7\n{spaces} Root memory region: system\n{body}\n"


def test_only_sixteen_digits_behind_at_are_an_offset() -> None:
    (row,) = parse_flat(flat_of("region @0x40000000 @0000000000001000")).views[0].ranges
    assert (row.name, row.offset) == ("region @0x40000000", 0x1000)


def test_the_accelerator_stands_behind_the_owner_and_counts_only_with_kvm() -> None:
    text = flat_of("pc.ram @0000000000001000 owner:{obj path=/objects/ram} KVM KVM")
    (row,) = parse_flat(text, kvm=True).views[0].ranges
    assert (row.name, row.offset, row.accelerators) == ("pc.ram", 0x1000, ("KVM", "KVM"))
    assert row.owner == OwnerRow(False, "path", "/objects/ram")
    (row,) = parse_flat(flat_of("ram of KVM"), kvm=False).views[0].ranges
    assert (row.name, row.accelerators) == ("ram of KVM", ())


def test_spaces_of_a_view() -> None:
    spaces = ' AS "a "b", root: "x", root: y\n AS "z", root: bus, alias system\n'
    view = parse_flat(flat_of("r", spaces=spaces)).views[0]
    assert [(space.name, space.root, space.alias) for space in view.spaces] == [
        ('a "b", root: "x', "y", None),
        ("z", "bus", "system"),
    ]


def test_the_dispatch_may_be_left_unread() -> None:
    text = flat_of("r").rstrip("\n") + "\n  Dispatch\n    Nodes (whatever\n\n"
    row = parse_flat(text, dispatch=False)
    assert row.dispatch
    assert row.views[0].dispatch is None
    with pytest.raises(RecordingError, match="line 6: the physical sections of the dispatch should start here"):
        parse_flat(text)
    with pytest.raises(RecordingError, match="line 6: no line of a dispatch: 'foreign'"):
        parse_flat(text.replace("    Nodes (whatever", "foreign"), dispatch=False)


DISPATCH = flat_of("r").rstrip("\n") + (
    "\n  Dispatch\n    Physical sections\n      #0 @0000000000000000..ffffffffffffffff (noname) [unassigned]\n"
    "      #1 @0000000000000000..0000000000000fff r [not dirty] [ROOT]\n"
    "    Nodes (9 bits per level, 6 levels) ptr=[0] skip=6\n      [0]\n"
    "\t  0       skip=0  ptr=#1\n\t  1..511  skip=0  ptr=#0\n\n"
)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("  1..511", "  1..510", "a node has 512 entries, this one ends after 511"),
        ("  1..511", "  2..511", "this entry does not continue the one before it"),
        (" [not dirty]", "", "section #1 should be marked ' [not dirty]'"),
        ("#1 @", "#2 @", "no line of physical section #1"),
        ("[0]\n", "[1]\n", "node [0] should stand here"),
        ("(9 bits", "(8 bits", "the nodes of the dispatch should start here"),
        ("skip=0  ptr=#1", "skip=0  ptr=[1]", "this entry does not continue the one before it"),
    ],
)
def test_a_spoiled_dispatch_is_refused(old: str, new: str, complaint: str) -> None:
    dispatch = parse_flat(DISPATCH).views[0].dispatch
    assert dispatch is not None
    assert [section.root for section in dispatch.sections] == [False, True]
    with pytest.raises(RecordingError, match=re.escape(complaint)):
        parse_flat(DISPATCH.replace(old, new))


def test_iommu_sections_are_found_by_view() -> None:
    text = (
        "FlatView #0\n      #1 @0000000000001000..0000000000001fff a [not dirty] [iommu]\n"
        "FlatView #1\n      #1 @0000000000000000..0000000000001fff [iommu] b\n"
        "      #2 @0000000000004000..0000000000004fff c [ROM] [MRU] [iommu] alias=d\n"
    )
    assert iommu_starts(text) == ((0x1000,), (0x4000,))


def test_a_block_without_name_and_one_with_a_long_name() -> None:
    header = "              Block Name    PSize              Offset               Used              Total"
    numbers = "0x0000000000040000 0x0000000000001000 0x0000000000002000"
    rows = parse_blocks(f"{header}\n{'':24}    2 MiB  {numbers}\n0000:00:02.0/a name of 30 bytes    4 KiB  {numbers}\n")
    assert rows == (
        BlockRow("", 2 << 20, 0x40000, 0x1000, 0x2000),
        BlockRow("0000:00:02.0/a name of 30 bytes", 4096, 0x40000, 0x1000, 0x2000),
    )


def test_a_block_that_uses_more_than_it_has_is_refused() -> None:
    header = "              Block Name    PSize              Offset               Used              Total"
    with pytest.raises(RecordingError, match="line 2: used length 0x2000 exceeds the total 0x1000"):
        parse_blocks(f"{header}\na    4 KiB  0x0000000000040000 0x0000000000002000 0x0000000000001000\n")


def test_the_qom_tree_gives_paths() -> None:
    text = "/machine (pc-machine)\r\n  /unattached (container)\r\n    /io[0] (memory-region)\r\n  /pci.0 (PCI)\r\n"
    assert [(node.path, node.type) for node in parse_qom_tree(text)] == [
        ("/machine", "pc-machine"),
        ("/machine/unattached", "container"),
        ("/machine/unattached/io[0]", "memory-region"),
        ("/machine/pci.0", "PCI"),
    ]
    deeper = parse_qom_tree("/peripheral (container)\n  /d0 (pc-dimm)\n", name="info qom-tree /machine/peripheral")
    assert [node.path for node in deeper] == ["/machine/peripheral", "/machine/peripheral/d0"]
    assert list(parse_qom_tree("Path '/objects' could not be resolved.\n", name="info qom-tree /objects")) == []
    with pytest.raises(RecordingError, match="line 2: a level of the QOM tree is missing"):
        list(parse_qom_tree("/machine (pc)\n    /deep (x)\n"))
