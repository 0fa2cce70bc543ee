"""Predictions for planted differences, and streams that are damaged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from qshim.errors import RecordingError
from qshim.layout.migration import Migration, predict
from qshim.layout.snapshot import Snapshot
from qshim.layout.stream import MigrationStream, SentBlock, read_stream
from qshim.recording.format import load
from qshim.rows import BlockRow

RECORDINGS = Path(__file__).parents[2] / "fixtures" / "recordings"


def snapshot(version: str = "10.0", name: str = "pc-devices-firmware") -> Snapshot:
    return Snapshot.of_recording(load(RECORDINGS / version / f"{name}.qrec.xz"))


def with_block(base: Snapshot, block: str, **changes: int | str) -> Snapshot:
    blocks = tuple(replace(b, **changes) if b.name == block else b for b in base.layout.blocks)  # type: ignore[arg-type]
    assert blocks != base.layout.blocks
    return replace(base, layout=replace(base.layout, blocks=blocks))


def knowing(base: Snapshot, name: str, resizeable: bool | None) -> Snapshot:
    notes = tuple(
        note._replace(resizeable=resizeable) if block.name == name else note
        for block, note in zip(base.layout.blocks, base.notes, strict=True)
    )
    return replace(base, notes=notes)


def only(found: Migration) -> tuple[str, str | None]:
    (check,) = (c for c in found.checks if (c.verdict, c.why) != ("accepted", "equal"))
    return check.verdict, check.error


def test_a_machine_can_migrate_to_itself() -> None:
    found = predict(snapshot(), snapshot())
    assert (found.verdict, found.exit_status, found.errors) == ("accepted", 0, ())


def test_order_and_offsets_do_not_matter() -> None:
    base = snapshot()
    blocks = tuple(replace(b, offset=b.offset + (1 << 40)) for b in base.layout.blocks[::-1])
    turned = replace(base, layout=replace(base.layout, blocks=blocks), notes=base.notes[::-1])
    assert predict(base, turned).verdict == predict(turned, base).verdict == "accepted"


def test_lengths() -> None:
    base = snapshot()
    ram = 0x140000000
    smaller = with_block(base, "pc.ram", used_length=ram // 2, max_length=ram // 2)
    assert only(predict(smaller, base)) == (
        "refused", "Size mismatch: pc.ram: 0xa0000000 != 0x140000000: Invalid argument",
    )  # fmt: skip
    assert only(predict(base, smaller))[1] == "Size mismatch: pc.ram: 0x140000000 != 0xa0000000: Invalid argument"
    unknown = predict(smaller, knowing(base, "pc.ram", None))
    assert (unknown.verdict, unknown.exit_status, unknown.errors) == ("unknown", 3, ())
    assert only(predict(smaller, knowing(base, "pc.ram", True))) == ("accepted", None)


def test_resizeable_blocks_take_what_fits() -> None:
    base = snapshot()
    tables = "/rom@etc/acpi/tables"
    assert only(predict(with_block(base, tables, used_length=0x200000), base)) == ("accepted", None)
    assert only(predict(with_block(base, tables, used_length=0x201000), base)) == (
        "refused", f"Size too large: {tables}: 0x201000 > 0x200000: Invalid argument",
    )  # fmt: skip


def test_a_missing_block_and_a_new_one() -> None:
    base = snapshot()
    fewer = replace(base, layout=replace(base.layout, blocks=base.layout.blocks[1:]), notes=base.notes[1:])
    assert predict(fewer, base).verdict == "accepted"
    assert only(predict(base, fewer)) == ("refused", 'Unknown ramblock "pc.ram", cannot accept migration')


def test_a_block_without_a_name_is_not_sent() -> None:
    base = snapshot()
    more = replace(
        base,
        layout=replace(base.layout, blocks=(*base.layout.blocks, BlockRow("", 4096, 1 << 40, 4096, 4096))),
        notes=(*base.notes, base.notes[0]),
    )
    assert predict(more, base).verdict == "accepted"


@pytest.mark.parametrize(
    ("version", "lines"),
    [
        ("7.2", 2),
        ("10.0", 2),
        ("11.1", 1),
    ],
)
def test_another_machine_type_is_refused_first(version: str, lines: int) -> None:
    base = replace(snapshot(), qemu=version)
    errors = predict(with_block(replace(base, machine="pc-q35-7.2"), "pc.ram", name="other"), base).errors
    assert len(errors) == lines
    assert errors[0].endswith("Machine type received is 'pc-q35-7.2' and local is 'pc-i440fx-10.0'")
    assert predict(replace(base, machine=None), base).verdict == "accepted"


def test_page_sizes_matter_with_postcopy_only() -> None:
    base = snapshot()
    large = with_block(base, "pc.ram", page_size=2 << 20)
    assert predict(large, base).verdict == "accepted"
    found = predict(large, base, postcopy=True)
    assert found.errors[0] == "Postcopy needs matching RAM page sizes (s=201000 d=1000)"
    swapped = with_block(with_block(base, "pc.bios", page_size=2 << 20), "pc.ram", page_size=4096 << 1)
    also = with_block(with_block(base, "pc.bios", page_size=4096 << 1), "pc.ram", page_size=2 << 20)
    assert predict(swapped, also, postcopy=True).errors[0] == "Mismatched RAM page size pc.ram (local) 2097152 != 8192"


STREAM = (
    b"QEVM\0\0\0\3\7\0\0\0\2pc\1\0\0\0\2\3ram\0\0\0\0\0\0\0\4"
    + (0x3000 | 4).to_bytes(8, "big")
    + b"\6pc.ram" + (0x2000).to_bytes(8, "big") + b"\1b" + (0x1000).to_bytes(8, "big") + b"rest"
)  # fmt: skip


def read(data: bytes) -> MigrationStream:
    return read_stream(lambda at, length: data[at : at + length], "saved")


def test_a_stream_says_what_is_sent() -> None:
    stream = read(STREAM)
    assert stream.machine == "pc"
    assert stream.blocks == (SentBlock("pc.ram", 0x2000), SentBlock("b", 0x1000))
    assert predict(stream, snapshot()).verdict == "refused"


def test_a_stream_names_its_capabilities() -> None:
    part = b"\5\32configuration/capabilities\0\0\0\1\0\0\0\1\17x-ignore-shared"
    data = STREAM[:15] + part + STREAM[15:]
    at = data.index(b"\6pc.ram") + 15
    data = data[:at] + bytes(8) + data[at : at + 10] + (7 << 20).to_bytes(8, "big") + data[at + 10 :]
    stream = read(data)
    assert stream.capabilities == {"x-ignore-shared"}
    assert stream.blocks == (SentBlock("pc.ram", 0x2000, None, 0), SentBlock("b", 0x1000, None, 7 << 20))
    base = replace(snapshot(), machine="pc")
    assert predict(stream, base).errors[0] == "Capability x-ignore-shared is off, but received capability is on"


@pytest.mark.parametrize("cut", range(len(STREAM) - 4))
def test_a_stream_that_is_cut_short_says_so(cut: int) -> None:
    with pytest.raises(RecordingError, match="saved is no migration stream that qshim can read"):
        read(STREAM[:cut])


@pytest.mark.parametrize(
    "data",
    [
        STREAM.replace(b"QEVM\0\0\0\3", b"QEVM\0\0\0\2"),
        STREAM.replace(b"\3ram", b"\3rom"),
        STREAM.replace(b"\0\0\0\4", b"\0\0\0\5"),
        STREAM.replace(b"\1\0\0\0\2\3ram", b"\4\0\0\0\2\3ram"),
        STREAM.replace(b"\x30\x04", b"\x30\x00"),
        STREAM[:15] + b"\5\5other\0\0\0\1" + STREAM[15:],
    ],
)
def test_other_streams_are_refused(data: bytes) -> None:
    assert data != STREAM
    with pytest.raises(RecordingError, match="saved is no migration stream that qshim can read"):
        read(data)
