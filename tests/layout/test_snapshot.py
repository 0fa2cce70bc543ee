"""The text of a snapshot: it reads back as it was, and holds nothing that does not matter."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qshim.cli.crosscheck import machine_from_argv
from qshim.cli.recordings import find
from qshim.crosscheck.snapshots import of_options
from qshim.errors import RecordingError
from qshim.layout.snapshot import BlockNote, Snapshot, canonical_layout
from qshim.layout.snapshot_text import digest, is_snapshot, parse, render
from qshim.recording.format import load
from qshim.rows import BlockRow, OwnerRow

ROOT = Path(__file__).parents[2]
RECORDINGS = ROOT / "fixtures" / "recordings"
SAMPLE = sorted(RECORDINGS.rglob("*.qrec.xz"))


def snapshot(name: str = "10.0/pc-dimm") -> Snapshot:
    return Snapshot.of_recording(load(RECORDINGS / f"{name}.qrec.xz"))


@pytest.mark.parametrize("path", SAMPLE, ids=lambda p: f"{p.parent.name}-{p.name.partition('.')[0]}")
def test_text_reads_back_as_it_was(path: Path) -> None:
    taken = Snapshot.of_recording(load(path))
    text = render(taken)
    assert is_snapshot(text.encode())
    assert parse(text) == taken
    assert parse(text.replace("\n", "\r\n")) == taken


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_any_block_reads_back_as_it_was(data: st.DataObject) -> None:
    word = st.integers(0, (1 << 64) - 1)
    name = data.draw(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
    row = BlockRow(name, 1 << data.draw(st.integers(8, 30)), data.draw(word), data.draw(word), data.draw(word), None,
                   data.draw(st.sampled_from([None, True, False])))  # fmt: skip
    flags = st.booleans()
    note = BlockNote(data.draw(st.sampled_from([None, True, False])), data.draw(flags), data.draw(flags))
    base = snapshot("10.0/none-memory")
    planted = replace(base, layout=replace(base.layout, blocks=(row,)), notes=(note,))
    assert parse(render(planted)) == planted


def test_what_does_not_matter_is_not_in_it() -> None:
    layout = snapshot().layout
    shuffled = replace(
        layout,
        tree=replace(
            layout.tree,
            groups=tuple(replace(g, spaces=g.spaces[::-1]) for g in layout.tree.groups[::-1]),
            targets=layout.tree.targets[::-1],
        ),
        flat=replace(layout.flat, views=tuple(replace(v, spaces=v.spaces[::-1]) for v in layout.flat.views[::-1])),
        blocks=tuple(replace(b, host=0x7F0000000000 + b.offset) for b in layout.blocks),
    )
    assert canonical_layout(shuffled) == layout


def test_numbers_of_unnamed_devices_are_not_in_it() -> None:
    layout = snapshot().layout
    groups = tuple(
        replace(g, regions=tuple(replace(r, owner=_numbered(r.owner)) for r in g.regions)) for g in layout.tree.groups
    )
    assert canonical_layout(replace(layout, tree=replace(layout.tree, groups=groups))) == layout


def _numbered(owner: OwnerRow | None) -> OwnerRow | None:
    return owner and replace(owner, value=owner.value.replace("/unattached/device[]", "/unattached/device[77]"))


@pytest.mark.parametrize(
    "damage",
    [
        lambda t: t.replace("max=0x8000000", "max=0x9000000"),
        lambda t: t.replace("machine: pc-i440fx-10.0", "machine: pc-i440fx-9.0"),
        lambda t: t[: len(t) // 2],
        lambda t: t.removesuffix("[end]\n"),
        lambda t: t.replace("[views]\n", ""),
        lambda t: t.replace("state: reset\n", ""),
        lambda t: t.replace("resizeable=no", "resizeable=perhaps"),
        lambda t: "",
        lambda t: "qshim",
        lambda t: t.replace("[memory devices]", "<<<<<<< HEAD\n[memory devices]"),
    ],
)
def test_damage_is_seen(damage) -> None:  # type: ignore[no-untyped-def]
    damaged = damage(render(snapshot()))
    assert damaged != render(snapshot())
    with pytest.raises(RecordingError, match=r"gold\.layout is no valid snapshot: .*; make it again"):
        parse(damaged, "gold.layout")


def test_digest_is_of_the_layout_alone() -> None:
    taken = snapshot()
    assert digest(replace(taken, qemu="7.2", machine="other")) == digest(taken)
    blocks = (replace(taken.layout.blocks[0], used_length=4096), *taken.layout.blocks[1:])
    assert digest(replace(taken, layout=replace(taken.layout, blocks=blocks))) != digest(taken)


def test_it_knows_what_a_migration_may_resize() -> None:
    taken = snapshot("10.0/pc-devices-firmware")
    told = {row.name: note.resizeable for row, note in zip(taken.layout.blocks, taken.notes, strict=True)}
    assert told["pc.ram"] is False
    assert told["/rom@etc/acpi/tables"] is True
    assert told["/rom@etc/acpi/rsdp"] is True
    assert next(value for name, value in told.items() if name.endswith("vga.rom")) is False
    assert told["pc.bios"] is None


@pytest.mark.parametrize("label", ["7.2", "10.0", "11.1"])
@pytest.mark.parametrize("board", ["pc", "q35"])
def test_our_own_machine_has_the_layout_of_the_recorded_one(label: str, board: str) -> None:
    recorded = Snapshot.of_recording(find(f"{label}/x86_64/{board}"))
    modelled = of_options(["-M", board], machine_from_argv, label, "x86_64")
    assert modelled.layout == recorded.layout
    for ours, theirs in zip(modelled.notes, recorded.notes, strict=True):
        assert theirs.resizeable in (None, ours.resizeable)


@pytest.mark.parametrize(
    ("label", "kind", "shared"),
    [("7.2", "memfd", True), ("10.0", "memfd", False), ("11.1", "memfd", False), ("10.0", "ram", False)],
)
def test_what_ignore_shared_leaves_out_depends_on_the_version(label: str, kind: str, shared: bool) -> None:
    backend = f"memory-backend-{kind},id=m,size=128M" + (",share=on" if kind == "memfd" else "")
    argv = ["-M", "pc,memory-backend=m", "-m", "128M", "-nodefaults", "-object", backend]
    taken = of_options(argv, machine_from_argv, label, "x86_64")
    (note,) = (note for row, note in zip(taken.layout.blocks, taken.notes, strict=True) if row.name == "m")
    assert note == BlockNote(False, shared)
