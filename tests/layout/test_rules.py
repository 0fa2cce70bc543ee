"""One planted change for each rule, found with exactly the rules that it is about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from qshim.errors import UsageError
from qshim.layout.compare import Layout
from qshim.layout.rules import RULES, SEVERITIES, Finding, Limits, at_least, judge, parse_sentence
from qshim.layout.snapshot import Snapshot, canonical_layout
from qshim.layout.waivers import Waiver, waive
from qshim.memory import MemoryRegion
from qshim.recording.format import load
from qshim.recording.rebuild import Rebuilt, rebuild
from qshim.rows import BlockRow

RECORDINGS = Path(__file__).parents[2] / "fixtures" / "recordings"
SAMPLE = sorted(RECORDINGS.rglob("*.qrec.xz"))
GIB = 1 << 30


class Planted:
    """A live machine of a recording, to be changed, and rows that have no live counterpart."""

    def __init__(self, name: str) -> None:
        recording = load(RECORDINGS / f"{name}.qrec.xz")
        self.before = Snapshot.of_recording(recording)
        self.rebuilt: Rebuilt = rebuild(recording)
        self.changes: dict[str, Any] = {}
        self.limits = Limits()

    def region(self, name: str) -> MemoryRegion:
        return next(r for r in self.rebuilt.regions if r.name == name)

    def add(self, start: int, size: int, priority: int = 0) -> None:
        self.region("system").add_subregion(MemoryRegion.io(self.rebuilt.topology, "planted", size), start, priority)

    def block(self, block: str, **values: Any) -> None:
        rows = self.changes.get("blocks", self.before.layout.blocks)
        self.changes["blocks"] = tuple(replace(r, **values) if r.name == block else r for r in rows)

    @property
    def after(self) -> Snapshot:
        changes = dict(self.changes)
        layout = canonical_layout(Layout.of(self.rebuilt))
        layout = replace(layout, blocks=changes.pop("blocks", self.before.layout.blocks))
        return replace(self.before, **{"layout": layout, **changes})


def dropped_block(m: Planted) -> None:
    m.changes |= {"blocks": m.before.layout.blocks[:-1], "notes": m.before.notes[:-1]}


def new_block(m: Planted) -> None:
    row = BlockRow("0000:00:1e.0/new.rom", 4096, 1 << 40, 0x40000, 0x40000, None, True)
    m.changes |= {"blocks": (*m.before.layout.blocks, row), "notes": (*m.before.notes, m.before.notes[-1])}


def swapped_blocks(m: Planted) -> None:
    rows = list(m.before.layout.blocks)
    at = next(n for n in range(len(rows) - 1) if rows[n].max_length == rows[n + 1].max_length)
    rows[at], rows[at + 1] = rows[at + 1], rows[at]
    notes = list(m.before.notes)
    notes[at], notes[at + 1] = notes[at + 1], notes[at]
    m.changes |= {"blocks": tuple(rows), "notes": tuple(notes)}


def less_low_ram(m: Planted) -> None:
    low, high = m.region("ram-below-4g"), m.region("ram-above-4g")
    grown = low.size + (256 << 20)
    low.set_size(grown)
    high.set_alias_offset(grown)
    high.set_size(high.size - (256 << 20))


def hot_plug_area_moved(m: Planted) -> None:
    m.region("device-memory").set_address(m.region("device-memory").addr + GIB)
    m.changes["devices"] = tuple({**d, "addr": d["addr"] + GIB} for d in m.before.devices)


def without_hpet(m: Planted) -> None:
    m.region("system").del_subregion(m.region("hpet"))


def with_priority(m: Planted) -> None:
    hpet, addr = m.region("hpet"), m.region("hpet").addr
    m.region("system").del_subregion(hpet)
    m.region("system").add_subregion(hpet, addr, 7)


def few_slots(m: Planted) -> None:
    failure = parse_sentence("at most 0 slots").failure(m.before)
    assert failure is not None
    m.limits = Limits(memslots=int(failure.split()[2]))
    m.add(0x10000000, 0x1000, 1)


def few_bits(m: Planted) -> None:
    m.limits = Limits(address_bits=34)
    m.region("ram-above-4g").set_address(16 * GIB)


def from_file(m: Planted) -> None:
    notes = tuple(
        note._replace(from_file=row.name == "pc.bios" or note.from_file)
        for row, note in zip(m.before.layout.blocks, m.before.notes, strict=True)
    )
    m.changes["notes"] = notes


TABLES = "/rom@etc/acpi/tables"
PLANTS: dict[str, tuple[str, Callable[[Planted], object], set[str]]] = {
    "machine type": ("pc-dimm", lambda m: m.changes.update(machine="pc-q35-10.0"), {"machine-type-changed"}),
    "block missing": ("pc-dimm", dropped_block, {"ramblock-removed"}),
    "block renamed": ("pc-dimm", lambda m: m.block("pc.bios", name="other"), {"ramblock-renamed"}),
    "block new": ("pc-dimm", new_block, {"ramblock-added"}),
    "length": (
        "pc-dimm", lambda m: m.block("pc.ram", used_length=GIB, max_length=GIB), {"ramblock-used-length-changed"},
    ),
    "length of tables": (
        "pc-dimm", lambda m: m.block(TABLES, used_length=0x40000), {"ramblock-resizeable-length-changed"},
    ),
    "maximum": ("pc-dimm", lambda m: m.block(TABLES, max_length=0x400000), {"ramblock-max-length-changed"}),
    "page size": ("pc-dimm", lambda m: m.block("pc.ram", page_size=2 << 20), {"ramblock-page-size-changed"}),
    "offset": ("pc-dimm", lambda m: m.block("pc.bios", offset=1 << 40), {"ramblock-offset-changed"}),
    "order": ("pc-devices", swapped_blocks, {"ramblock-order-changed"}),
    "other RAM seen": ("pc-devices", lambda m: m.region("ram-above-4g").set_alias_offset(0), {"ram-moved"}),
    "RAM above 4G": (
        "pc-devices", lambda m: m.region("ram-above-4g").set_address(1 << 40), {"above-4g-start-moved"},
    ),
    "split of RAM": ("pc-devices", less_low_ram, {"ram-moved", "pci-hole-shrunk"}),
    "hot-plug area": ("pc-dimm", hot_plug_area_moved, {"device-memory-moved"}),
    "hot-plug area smaller": (
        "pc-dimm", lambda m: m.region("device-memory").set_size(m.region("device-memory").size - GIB),
        {"device-memory-shrunk"},
    ),
    "DIMM gone": (
        "pc-dimm", lambda m: m.changes.update(devices=m.before.devices[1:]), {"memory-device-removed"},
    ),
    "DIMM new": (
        "pc-dimm",
        lambda m: m.changes.update(devices=(*m.before.devices, {**m.before.devices[0], "id": "new", "addr": 1 << 40})),
        {"memory-device-added"},
    ),
    "registers moved": ("pc-dimm", lambda m: m.region("hpet").set_address(0xFEDF0000), {"mmio-moved"}),
    "registers resized": ("pc-dimm", lambda m: m.region("hpet").set_size(0x200), {"mmio-resized"}),
    "registers gone": ("pc-dimm", without_hpet, {"mmio-removed"}),
    "registers new": ("pc-dimm", lambda m: m.add(0xFE000000, 0x1000), {"mmio-added"}),
    "type": ("pc-dimm", lambda m: m.region("pc.bios").set_readonly(False), {"region-type-changed"}),
    "priority": ("pc-dimm", with_priority, {"region-priority-changed"}),
    "switched off": ("pc-dimm", lambda m: m.region("hpet").set_enabled(False), {"view-changed"}),
    "overlap": ("pc-dimm", lambda m: m.add(0xFED00200, 0x1000), {"mmio-added", "overlap-equal-priority"}),
    "hidden": ("pc-dimm", lambda m: m.add(0xFED00000, 0x1000, 9), {"mmio-added", "region-hidden"}),
    "not aligned": ("pc-dimm", lambda m: m.add(0x1000000, 0x200, 1), {"mmio-added", "ram-not-page-aligned"}),
    "slots": ("pc-dimm", few_slots, {"mmio-added", "memslot-budget"}),
    "address bits": ("pc-devices", few_bits, {"above-4g-start-moved", "address-width"}),
    "file": ("pc-dimm", from_file, {"rom-from-file"}),
}  # fmt: skip
ELSEWHERE = {
    "nondeterministic-layout", "assertion-failed", "golden-missing", "golden-unused", "waiver-expired", "waiver-unused",
}  # fmt: skip
"""Rules of the command, tested with it."""


@pytest.mark.parametrize("what", PLANTS)
def test_a_planted_change_is_found_by_its_rules_alone(what: str) -> None:
    name, plant, rules = PLANTS[what]
    machine = Planted(f"10.0/{name}")
    assert machine.after == machine.before
    with machine.rebuilt.topology.transaction():
        plant(machine)
    found = list(judge("x", machine.before, machine.after, limits=machine.limits))
    assert {f.rule for f in found} == rules
    assert all(f.severity == RULES[f.rule].severity for f in found)
    assert len({f.fingerprint for f in found}) == len(found)


def test_every_rule_has_a_plant() -> None:
    assert set().union(*(rules for _, _, rules in PLANTS.values())) | ELSEWHERE == set(RULES)


@pytest.mark.parametrize("path", SAMPLE, ids=lambda p: f"{p.parent.name}-{p.name.partition('.')[0]}")
def test_nothing_is_found_where_nothing_changed(path: Path) -> None:
    taken = Snapshot.of_recording(load(path))
    assert list(judge("x", replace(taken), taken)) == []


def test_names_of_internal_regions_do_not_matter() -> None:
    machine = Planted("10.0/pc-dimm")
    for row in ("ram-below-4g", "smram-region", "pci", "acpi-evt", "isa-bios"):
        machine.region(row).name = f"new-{row}"
    assert machine.after != machine.before
    assert list(judge("x", machine.before, machine.after)) == []


def test_a_migration_error_is_told_in_the_words_of_the_destination() -> None:
    machine = Planted("10.0/pc-dimm")
    machine.block("pc.ram", used_length=GIB, max_length=GIB)
    (found,) = judge("x", machine.before, machine.after)
    assert found.consequence == (
        "an incoming migration is refused: Size mismatch: pc.ram: 0x20000000 != 0x40000000: Invalid argument"
    )


def test_what_comes_has_a_rule_for_what_goes() -> None:
    for one, other in (("-added", "-removed"), ("-removed", "-added")):
        assert {r for r in RULES if r.endswith(one) and r.replace(one, other) not in RULES} == set()


def test_addresses_that_follow_from_another_block_are_not_told() -> None:
    machine = Planted("10.0/pc-dimm")
    dropped_block(machine)
    machine.block("pc.bios", offset=1 << 40)
    assert [f.rule for f in judge("x", machine.before, machine.after)] == ["ramblock-removed"]


def test_severities() -> None:
    assert [s for s in SEVERITIES if at_least(s, "warning")] == ["error", "warning"]
    machine = Planted("10.0/pc-dimm")
    machine.region("hpet").set_size(0x200)
    (found,) = judge("x", machine.before, machine.after, severities={"mmio-resized": "info"})
    assert found.severity == "info"
    assert list(judge("x", machine.before, machine.after, severities={"mmio-resized": "off"})) == []


def test_fingerprints_depend_on_the_finding_alone() -> None:
    machine = Planted("10.0/pc-dimm")
    machine.region("hpet").set_size(0x200)
    (alone,) = judge("x", machine.before, machine.after)
    machine.add(0xFE000000, 0x1000)
    both = list(judge("x", machine.before, machine.after, severities={"mmio-resized": "error"}))
    assert alone.fingerprint in {f.fingerprint for f in both}
    (elsewhere,) = (f for f in judge("y", machine.before, machine.after) if f.rule == "mmio-resized")
    assert elsewhere.fingerprint != alone.fingerprint


@pytest.mark.parametrize(
    ("sentence", "failure"),
    [
        ("RAM is exactly 5G", None),
        ("RAM below 4G is at least 3G", None),
        ("RAM below 4G is at least 0xd0000000", "it is 0xc0000000 bytes"),
        ("RAM above 4G is at most 1G", "it is 0x80000000 bytes"),
        ("nothing but hpet in 0xfed00000+1K", None),
        ("nothing in 0xfed00000-0xfed003ff", "'hpet' is visible at 00000000fed00000-00000000fed003ff"),
        ("nothing but vga, hpet in 0xfec00000+2M", "'ioapic' is visible at 00000000fec00000-00000000fec00fff"),
        ("at most 32 slots", None),
        ("at most 2 slots", "it is 12 slots"),
        ("pc.ram is exactly 5G", None),
        ("pc.ram is at most 1M", "it is 0x140000000 bytes"),
        ("nobody is exactly 1", "there is no such RAM block"),
        ("hpet at 0xfed00000", None),
        ("hpet at 0xfec00000", "'ioapic' is visible there"),
        ("hpet at 0xfe000000", "nothing is visible there"),
    ],
)
def test_sentences(sentence: str, failure: str | None) -> None:
    taken = Snapshot.of_recording(load(RECORDINGS / "10.0" / "pc-devices.qrec.xz"))
    found = parse_sentence(sentence).failure(taken)
    assert found == failure or ("slots" in sentence and failure and found and found.endswith("slots"))
    if failure:
        (told,) = judge("x", taken, taken, assertions=[parse_sentence(sentence, reason="because")])
        assert (told.rule, told.consequence) == ("assertion-failed", "because")


@pytest.mark.parametrize(
    "sentence", ["", "RAM is nice", "at most many slots", "nothing but hpet in 5", "RAM is at most 1Q"]
)
def test_what_is_no_sentence_is_said(sentence: str) -> None:
    with pytest.raises(UsageError, match="cannot understand the assertion"):
        parse_sentence(sentence)


def found(rule: str = "mmio-moved", thing: str = "hpet", layout: str = "q35") -> Finding:
    return Finding(rule, "warning", layout, thing, "moved", "then")


def test_waivers() -> None:
    today = date(2026, 11, 24)
    waiver = Waiver("mmio-moved", "hp*", "known", today)
    assert [f.waived for f in waive([found(), found(thing="rtc")], [waiver], today)] == ["known", None]
    (kept, over) = waive([found()], [replace(waiver, expires=date(2026, 11, 23))], today)
    assert (kept.waived, over.rule) == (None, "waiver-expired")
    (other, unused) = waive([found("mmio-resized")], [waiver], today)
    assert (other.waived, unused.rule) == (None, "waiver-unused")
    assert [f.rule for f in waive([], [waiver], today, complete=False)] == []
    assert [f.rule for f in waive([found(layout="pc")], [replace(waiver, layout="q*")], today)] == [
        "mmio-moved", "waiver-unused",
    ]  # fmt: skip
