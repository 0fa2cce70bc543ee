"""The structural comparison: each planted fault is found and named, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from qshim.layout.compare import CHANGES, Layout, compare
from qshim.memory import AddressSpace, MemoryRegion, RAMBlock
from qshim.qom import QomObject
from qshim.recording.format import load
from qshim.recording.rebuild import Rebuilt, rebuild
from qshim.rows import BlockRow, RegionRow

ROOT = Path(__file__).parents[2]
RECORDINGS = ROOT / "fixtures" / "recordings"
SAMPLE = sorted(RECORDINGS.rglob("*.qrec.xz"))
Plant = Callable[["Machine"], None]


class Machine:
    """A rebuilt machine with its regions by name."""

    def __init__(self, rebuilt: Rebuilt) -> None:
        self.rebuilt = rebuilt
        self.topology = rebuilt.topology

    def region(self, name: str, number: int = 0) -> MemoryRegion:
        return [r for r in self.rebuilt.regions if r.name == name][number]

    def block(self, name: str) -> RAMBlock:
        found = self.topology.ram.by_name(name)
        assert found is not None
        return found

    def space(self, name: str) -> AddressSpace:
        return next(s for s in self.topology.spaces if s.name == name)


def machine(version: str = "11.1", name: str = "pc-firmware") -> Machine:
    return Machine(rebuild(load(RECORDINGS / version / f"{name}.qrec.xz")))


def owner_changed(m: Machine) -> None:
    m.region("hpet").owner = QomObject("other")


def split_by_unmergeable(m: Machine) -> None:
    ram = m.region("pc.ram")
    ram.set_unmergeable(True)


def new_region(m: Machine) -> None:
    m.region("system").add_subregion(MemoryRegion.io(m.topology, "planted", 0x1000), 0xD0000000)


def new_space(m: Machine) -> None:
    AddressSpace(m.topology, MemoryRegion.io(m.topology, "planted", 0x1000), "planted")


def shrink_used(m: Machine) -> None:
    block = m.block("/rom@etc/acpi/tables")
    m.topology.ram.resize(block, block.used_length // 2)


def retie(m: Machine) -> None:
    """Two siblings at one place: the older one is mapped again and wins now."""
    system = m.region("system")
    for name in ("twin-a", "twin-b"):
        system.add_subregion(MemoryRegion.io(m.topology, name, 0x1000), 0xD0000000, 7)


def swap_twins(m: Machine) -> None:
    older = next(r for r in m.region("system").subregions if r.name == "twin-a")
    older.set_address(0)
    older.set_address(0xD0000000)


def drop_alias(m: Machine) -> None:
    alias = m.region("ram-below-4g")
    assert alias.container is not None
    alias.container.del_subregion(alias)


def retarget(m: Machine) -> None:
    alias = m.region("isa-bios")
    alias.alias = m.region("pc.rom")


def set_block(name: str, field: str, value: object) -> Plant:
    def plant(m: Machine) -> None:
        setattr(m.block(name), field, value)
        m.topology.ram.version += 1

    return plant


PLANTS: list[tuple[str, Plant, set[str]]] = [
    ("a moved device", lambda m: m.region("hpet").set_address(0xFED10000), {"region-moved"}),
    ("a larger device", lambda m: m.region("hpet").set_size(0x800), {"region-resized"}),
    ("a renamed device", lambda m: setattr(m.region("hpet"), "name", "timer"), {"region-renamed"}),
    ("another priority", lambda m: remap(m.region("hpet"), 3), {"region-priority-changed"}),
    ("a disabled device", lambda m: m.region("hpet").set_enabled(False), {"region-enabled-changed"}),
    ("another owner", owner_changed, {"region-owner-changed"}),
    ("non-volatile RAM", lambda m: m.region("ram-below-4g").set_nonvolatile(True), {"region-nonvolatile-changed"}),
    ("ROM made writable", lambda m: m.region("pc.rom").set_readonly(False), {"region-type-changed"}),
    ("RAM made read-only", lambda m: m.region("pc.ram").set_readonly(True), {"region-type-changed"}),
    ("a readonly alias", lambda m: m.region("ram-below-4g").set_readonly(True), {"range-changed"}),
    ("a new region", new_region, {"region-added", "range-added"}),
    ("a missing region", lambda m: unmap(m.region("hpet")), {"region-removed", "range-removed"}),
    ("a missing alias", drop_alias, {"region-removed", "range-removed"}),
    ("an alias with another offset", lambda m: m.region("isa-bios").set_alias_offset(0), {"alias-offset-changed"}),
    ("an alias of another region", retarget, {"alias-target-changed"}),
    ("a new address space", new_space, {"space-added"}),
    ("a missing address space", lambda m: m.space("cpu-smm-0").destroy(), {"space-removed"}),
    ("unmergeable RAM", split_by_unmergeable, {"range-split"}),
    ("a container that terminates", lambda m: terminate(m, "pci"), {"range-added"}),
    ("a hole in a device", lambda m: terminate(m, "io", False), {"range-removed"}),
    ("a block elsewhere", set_block("pc.rom", "offset", 0x7000000), {"block-offset-changed"}),
    ("a shorter block", shrink_used, {"block-used-length-changed"}),
    ("another maximum", set_block("pc.rom", "max_length", 0x40000), {"block-max-length-changed"}),
    ("another page size", set_block("pc.ram", "page_size", 2 << 20), {"block-page-size-changed"}),
    ("a renamed block", set_block("pc.rom", "idstr", "pc.rom2"), {"block-renamed"}),
    ("a missing block", lambda m: m.topology.ram.free(m.block("pc.rom")), {"block-removed"}),
    ("a new block", lambda m: adopt(m), {"block-added"}),
    ("an IOMMU", lambda m: iommu(m), {"dispatch-changed"}),
]


def remap(region: MemoryRegion, priority: int) -> None:
    container = region.container
    assert container is not None
    container.del_subregion(region)
    container.add_subregion(region, region.addr, priority)


def unmap(region: MemoryRegion) -> None:
    assert region.container is not None
    region.container.del_subregion(region)


def terminate(m: Machine, name: str, on: bool = True) -> None:
    region = m.region(name)
    region.terminates = on
    region.set_enabled(False)
    region.set_enabled(True)


def adopt(m: Machine) -> None:
    m.topology.ram.adopt(RAMBlock(1 << 40, 0x1000, 0x1000, idstr="planted"))


def iommu(m: Machine) -> None:
    m.region("hpet").is_iommu = True
    m.region("hpet").set_enabled(False)
    m.region("hpet").set_enabled(True)


@pytest.mark.parametrize(("plant", "kinds"), [p[1:] for p in PLANTS], ids=[p[0] for p in PLANTS])
def test_a_planted_fault_is_named(plant: Plant, kinds: set[str]) -> None:
    changed = machine()
    before = Layout.of(changed.rebuilt)
    plant(changed)
    changes = compare(before, Layout.of(changed.rebuilt))
    found = {change.kind for change in changes}
    assert kinds <= found, [change.what for change in changes]
    assert found <= CHANGES.keys()
    assert all(change.what for change in changes)


def test_another_winner_of_a_tie_is_named() -> None:
    m = machine()
    retie(m)
    before = Layout.of(m.rebuilt)
    swap_twins(m)
    changes = compare(before, Layout.of(m.rebuilt))
    assert {"region-order-changed", "range-changed"} == {change.kind for change in changes}
    assert "'twin-a' comes before 'twin-b' now" in changes[0].what


@pytest.mark.parametrize("path", SAMPLE, ids=lambda p: f"{p.parent.name}-{p.name.removesuffix('.qrec.xz')}")
def test_a_rebuilt_machine_does_not_differ_from_what_was_recorded(path: Path) -> None:
    recording = load(path)
    assert compare(Layout.of_recording(recording), Layout.of(rebuild(recording))) == ()


def test_versions_differ_in_what_they_are_known_for() -> None:
    recordings = ROOT / "qshim" / "data" / "recordings"
    left, right = (
        Layout.of_recording(load(recordings / version / "x86_64" / "pc-q35-7.2.qrec.xz")) for version in ("7.2", "11.1")
    )
    kinds = {change.kind for change in compare(left, right)}
    assert {"container-word", "host-columns"} <= kinds
    assert compare(left, left) == ()


def test_what_moves_with_its_parent_did_not_move() -> None:
    m = machine("11.1", "q35-bridges")
    before = Layout.of(m.rebuilt)
    box = next(r for r in m.rebuilt.regions if r.container is not None and len(r.subregions) > 1 and r.enabled)
    box.set_address(box.addr + 0x10)
    moved = [c for c in compare(before, Layout.of(m.rebuilt)) if c.kind == "region-moved"]
    assert [c.what.split("'")[1] for c in moved] == [box.name]


def test_blocks_of_equal_maximum_in_another_order() -> None:
    rows = tuple(BlockRow(name, 4096, at << 20, 4096, 4096) for at, name in enumerate(("a", "b")))
    empty = Layout.of(machine("11.1", "none-memory").rebuilt)
    left, right = replace(empty, blocks=rows), replace(empty, blocks=rows[::-1])
    assert [c.kind for c in compare(left, right)] == ["block-order-changed"]


def test_every_kind_has_its_meaning() -> None:
    makers = [*(ROOT / "qshim" / "layout" / "compare").glob("*.py"), ROOT / "qshim" / "crosscheck" / "steps.py"]
    text = "".join(path.read_text() for path in makers if path.name != "change.py")
    assert [kind for kind in CHANGES if f'"{kind}"' not in text] == []


def shipped(label: str, machine: str) -> Layout:
    folder = Path(__file__).parents[2] / "qshim" / "data" / "recordings" / label / "x86_64"
    return Layout.of_recording(load(folder / f"{machine}.qrec.xz"))


def test_what_stays_in_place_with_another_owner_did_not_move() -> None:
    """Both PICs of a pc have the same name and size, and devices are numbered otherwise in 11.1."""
    changes = compare(shipped("7.2", "pc-i440fx-7.2"), shipped("11.1", "pc-i440fx-7.2"))
    assert [change.what for change in changes if change.kind == "region-moved"] == []
    renumbered = [change for change in changes if change.kind == "owner-renumbered"]
    assert {change.what.partition(" ")[0] for change in renumbered} >= {"'pic'", "'pit'", "'hpet'"}
    assert all("/machine/unattached/device[" in change.what for change in renumbered)
    told = [change.what for change in changes if change.kind == "region-owner-changed"]
    assert "'ioport80' belongs to /machine instead of /machine/unattached" in told


def with_owner(layout: Layout, names: set[str], value: str) -> Layout:
    def changed(regions: tuple[RegionRow, ...]) -> tuple[RegionRow, ...]:
        return tuple(
            replace(row, owner=replace(row.owner, value=value)) if row.name in names and row.owner else row
            for row in regions
        )

    groups = tuple(replace(group, regions=changed(group.regions)) for group in layout.tree.groups)
    return replace(layout, tree=replace(layout.tree, groups=groups))


def test_one_region_of_a_device_that_keeps_its_number_has_another_owner() -> None:
    layout = shipped("7.2", "pc-i440fx-7.2")
    both = with_owner(layout, {"i8042-data", "i8042-cmd"}, "/machine/unattached/device[99]")
    assert {change.kind for change in compare(layout, both)} == {"owner-renumbered"}
    one = with_owner(layout, {"i8042-data"}, "/machine/unattached/device[99]")
    assert {change.kind for change in compare(layout, one)} == {"region-owner-changed"}


def test_without_owners_on_one_side_the_rest_is_compared() -> None:
    """QEMU 7.2 never returns from `info mtree -o` on two MIPS boards; they are asked without it."""
    layout = shipped("7.2", "isapc")
    assert compare(layout, layout.without_owners()) == ()
    assert compare(layout.without_owners(), layout) == ()
    other = shipped("7.2", "pc-i440fx-7.2")
    kinds = {change.kind for change in compare(layout.without_owners(), other)}
    assert "region-added" in kinds
    assert not kinds & {"region-owner-changed", "owner-renumbered"}


def test_an_address_space_of_another_name_did_not_come_and_go() -> None:
    layout = shipped("7.2", "pc-i440fx-7.2")
    groups = tuple(
        replace(group, spaces=tuple("dma" if name == "e1000" else name for name in group.spaces))
        for group in layout.tree.groups
    )
    changes = compare(layout, replace(layout, tree=replace(layout.tree, groups=groups)))
    told = [change.what for change in changes if change.kind.startswith("space-")]
    assert told == ["address space 'e1000' (root 'bus master container') is called 'dma'"]
