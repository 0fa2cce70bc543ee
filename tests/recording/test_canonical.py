"""Two processes of one machine give the same texts, and the order still tells which twin an alias shows."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qshim.recording.canonical import canonical_texts, masked_lines, masked_value
from qshim.recording.format import FLAT_COMMAND, TREE_COMMAND, load

TOP = Path(__file__).resolve().parents[2]
RECORDINGS = sorted((TOP / "qshim" / "data" / "recordings").rglob("*.qrec.xz"))


def region(text: str, start: int = 0, size: int = 0x1000, level: int = 1, kind: str = "i/o") -> str:
    return f"{'  ' * level}{start:016x}-{start + size - 1:016x} (prio 0, {kind}): {text}"


def alias(name: str, target: str, size: int = 0x1000, kind: str = "i/o") -> str:
    return region(f"alias {name} @{target} {0:016x}-{size - 1:016x}", 0, size, 2, kind)


def group(name: str, *aliases: str) -> list[str]:
    return [f"address-space: {name}", region(name), *aliases, ""]


def section(name: str, *aliases: str, size: int = 0x1000, kind: str = "i/o") -> list[str]:
    return [f"memory-region: {name}", region(name, 0, size, 1, kind), *aliases, ""]


def tree(*blocks: list[str]) -> tuple[str, ...]:
    return tuple(canonical_texts({TREE_COMMAND: tuple(line for block in blocks for line in block)})[TREE_COMMAND])


def test_sections_follow_their_groups() -> None:
    a, b = group("a", alias("to-y", "y")), group("b", alias("to-x", "x"))
    x, y = section("x", alias("to-z", "z")), section("y")
    z = section("z")
    one = tree(a, b, y, x, z)
    other = tree(b, a, x, y, z)
    assert one == other == tuple(line for block in (a, b, y, x, z) for line in block)


def test_twins_stay_with_the_aliases_of_their_devices() -> None:
    """amd-versal2-virt of 11.1: each USB controller's alias shows a region of a device below it."""

    def owned(lines: list[str], owner: str) -> list[str]:
        return [f"{line} owner:{{dev path={owner}}}" if line.startswith("  ") else line for line in lines]

    def users(name: str) -> list[str]:
        lines = group(name, *(alias("window", "usb") for _ in range(2)))
        return [*owned(lines[:2], "/m"), *owned(lines[2:3], "/m/usb[0]"), *owned(lines[3:], "/m/usb[1]")]

    first, second = (owned(section("usb"), f"/m/usb[{n}]/core") for n in (0, 1))
    a, b = users("a"), users("b")
    crossed = [*b[:2], b[3], b[2], ""]  # here the second device's alias comes first, and so does its section
    expected = tuple(line for block in (a, crossed, first, second) for line in block)
    assert tree(a, crossed, first, second) == expected
    assert tree(crossed, a, second, first) == expected


def test_of_two_sections_with_one_name_each_stays_with_its_alias() -> None:
    a, b = group("a", alias("m", "timer", 0x10)), group("b", alias("m", "timer", 0x2000))
    small, large = section("timer", size=0x10), section("timer", size=0x2000)
    expected = tuple(line for block in (a, b, small, large) for line in block)
    assert tree(a, b, small, large) == expected
    assert tree(b, a, large, small) == expected


def test_a_target_name_with_an_at_sign_is_found() -> None:
    odd = "peripheral region @0x40000000"
    a, b = group("a", alias("m @n", odd)), group("b", alias("k", "x"))
    assert tree(b, a, section("x"), section(odd)) == (*a, *b, *section(odd), *section("x"))


def test_a_tree_whose_sections_nobody_names_keeps_its_order() -> None:
    blocks = (group("b"), group("a"), section("x"))
    assert tree(*blocks) == tuple(line for block in blocks for line in block)


def test_views_are_sorted_renumbered_and_untagged() -> None:
    text = (
        "FlatView #0", ' AS "b", root: b', " Root memory region: b", region("b"), "  Dispatch",
        "      #1 @0000000000000000..0000000000000fff b [MRU]", "",
        "FlatView #1", ' AS "a", root: a', " Root memory region: (none)", "  No rendered FlatView", "",
    )  # fmt: skip
    assert canonical_texts({FLAT_COMMAND: text})[FLAT_COMMAND] == (
        "FlatView #0", *text[8:], "FlatView #1", *text[1:5], text[5].removesuffix(" [MRU]"), "",
    )  # fmt: skip


def test_host_addresses_and_thread_ids_are_masked() -> None:
    row = "     pc.ram    4 KiB  0x0000000000000000 0x0000000008000000 0x0000000008000000 {}  rw"
    text = "H\n" + row.format("0x00007f93c7e00000") + "\n"
    masked = row.format("0x0000000000000000")
    assert masked_lines("info ramblock", [row.format("0x00007f93c7e00000")]) == (masked,)
    assert masked_value("x-query-ramblock", {"human-readable-text": text}) == {
        "human-readable-text": f"H\n{masked}\n"
    }
    assert masked_lines("info cpus", ["* CPU #0: thread_id=5725 model=qemu64"]) == (
        "* CPU #0: thread_id=0 model=qemu64",
    )
    cpus = [{"cpu-index": 0, "props": {"thread-id": 1}, "thread-id": 77}]
    assert masked_value("query-cpus-fast", cpus) == [{"cpu-index": 0, "props": {"thread-id": 1}, "thread-id": 0}]


def test_a_row_of_7_2_without_host_address_is_not_touched() -> None:
    row = "     pc.ram    4 KiB  0x0000000000000000 0x0000000008000000 0x0000000008000000"
    assert masked_lines("info ramblock", [row]) == (row,)


@pytest.mark.skipif(not RECORDINGS, reason="no recordings are in this tree, so none were shuffled")
@settings(max_examples=25)
@given(st.data())
def test_real_texts_shuffled_as_another_process_would_print_them_come_back(data: st.DataObject) -> None:
    recording = load(data.draw(st.sampled_from(RECORDINGS)))
    texts = {command: recording.hmp[command] for command in (TREE_COMMAND, FLAT_COMMAND) if command in recording.hmp}
    assert canonical_texts(texts) == texts
    flat = _blocks(texts[FLAT_COMMAND], "FlatView #") if FLAT_COMMAND in texts else []
    shuffled = data.draw(st.permutations(flat))
    lines = tuple(line for block in shuffled for line in block)
    assert canonical_texts({FLAT_COMMAND: lines}).get(FLAT_COMMAND) == (texts.get(FLAT_COMMAND) or ())


def _blocks(lines: tuple[str, ...], start: str) -> list[list[str]]:
    blocks: list[list[str]] = []
    for line in lines:
        if line.startswith(start):
            blocks.append([])
        blocks[-1].append(line)
    return blocks
