"""Each rule by which a machine is inferred from its texts (spec/recordings.md 3), on machines of a few regions."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from qshim.memory import MemoryRegion
from qshim.qom import QomObject
from qshim.recording.format import FLAT_COMMAND, RAMBLOCK_COMMAND, TREE_COMMAND, QomRegion, Recording
from qshim.rows import OwnerRow
from qshim.units import SPACE
from qshim.versions import KNOWN
from tests.recording.machines import Machine, RoundTrip, round_trip


def system(machine: Machine) -> MemoryRegion:
    """A root with two children, so that nobody looks through it."""
    root = machine.container("system")
    root.add_subregion(machine.io("low", 0x1000), 0)
    root.add_subregion(machine.io("high", 0x1000), 0xFFFF0000)
    machine.space("memory", root)
    return root


def same(machine: Machine) -> RoundTrip:
    trip = round_trip(machine)
    assert trip.differences == []
    return trip


# --- rule 1: texts are lined up ---


def test_owners_come_from_a_text_without_disabled_regions() -> None:
    machine = Machine()
    root = system(machine)
    hidden = machine.io("hidden", 0x1000)
    root.add_subregion(hidden, 0x2000)
    hidden.set_enabled(False)
    owner = QomObject.root().add_child("machine", QomObject("pc-machine"))
    root.add_subregion(MemoryRegion.io(machine.topology, "shown", 0x1000, owner=owner), 0x3000)

    def split(recording: Recording) -> Recording:
        hmp = dict(recording.hmp)
        lines = hmp.pop(TREE_COMMAND)
        hmp["info mtree -D"] = tuple(re.sub(" orphan| owner:.*", "", line) for line in lines)
        hmp["info mtree -o"] = tuple(line for line in lines if "[disabled]" not in line)
        return replace(recording, hmp=hmp)

    trip = round_trip(machine, edit=split)
    assert trip.differences == []
    assert trip.region("shown").owner == OwnerRow(False, "path", "/machine")


def test_a_disabled_region_that_the_text_hides_gets_a_stand_in() -> None:
    machine = Machine()
    root = system(machine)
    hidden = machine.container("hidden", 0x1000)
    hidden.add_subregion(machine.io("child", 0x10), 0x20)
    root.add_subregion(hidden, 0, 1)
    hidden.set_enabled(False)

    def plain(recording: Recording) -> Recording:
        return replace(recording, hmp={c: t for c, t in recording.hmp.items() if c != TREE_COMMAND})

    trip = round_trip(machine, edit=plain)
    assert trip.differences == []
    assert any("a disabled region above 'child'" in note for note in trip.plan.notes)


# --- rule 2: size 0 and 1 ---


def test_a_window_without_size_prints_as_one_byte_and_stays_closed() -> None:
    machine = Machine()
    root = system(machine)
    target = machine.container("bridge", 0x10000)
    target.add_subregion(machine.io("device", 0x10), 0)
    root.add_subregion(machine.alias("window", target, 0, 0), 0x5000)
    root.add_subregion(machine.io("byte", 1), 0x6000)
    trip = same(machine)
    assert trip.region("window").size == 0
    assert trip.region("byte").size == 1


def test_qom_decides_between_the_sizes_0_and_1() -> None:
    machine = Machine()
    root = system(machine)
    port = machine.io("port[a]", 1)
    root.add_subregion(port, 0x6000)
    port.set_enabled(False)
    path = "/machine/unattached/port\\x5ba\\x5d[0]"

    def told(recording: Recording) -> Recording:
        return replace(recording, qom={path: QomRegion("/machine/unattached/system[0]", 0x6000, 1, 0)})

    assert round_trip(machine).region("port[a]").size == 0
    assert round_trip(machine, edit=told).region("port[a]").size == 1


# --- rule 3: a region that is shown several times is one region ---


def test_root_of_a_space_section_and_nested_region_are_one() -> None:
    machine = Machine()
    cpu = machine.container("cpu-container")
    root = system(machine)
    cpu.add_subregion(root, 0, -1)
    cpu.add_subregion(machine.io("nvic", 0x1000), 0xE000E000)
    cpu.add_subregion(machine.alias("window", root, 0, 0x1000), 0xF0000000)
    machine.space("cpu", cpu)
    trip = same(machine)
    assert sum(part.name == "system" for part in trip.plan.regions) == 1
    assert len({space.root for space in trip.plan.spaces}) == 2
    live = trip.live("system")
    assert live.container is trip.live("cpu-container")


def test_equal_roots_of_two_groups_are_two_regions() -> None:
    machine = Machine()
    system(machine)
    for name in ("left", "right"):
        root = machine.container("bus master container")
        machine.space(name, root)
    trip = same(machine)
    assert sum(part.name == "bus master container" for part in trip.plan.regions) == 2


# --- rule 4: which section an alias means ---


def test_equally_named_targets_are_told_apart_by_the_order_of_their_sections() -> None:
    machine = Machine()
    root = system(machine)
    for number in range(2):
        bridge = machine.container("bridge", 0x10000)
        bridge.add_subregion(machine.io(f"device{number}", 0x10), 0)
        root.add_subregion(machine.alias("window", bridge, 0, 0x1000), 0x10000 * (number + 1))
    trip = same(machine)
    windows = [part for part in trip.plan.regions if part.name == "window"]
    first, second = (trip.plan.regions[window.target or 0] for window in windows)
    assert [trip.plan.regions[child].name for child in (*first.children, *second.children)] == ["device0", "device1"]


def test_sections_in_an_order_that_qemu_cannot_print_are_told_apart_by_owner() -> None:
    machine = Machine()
    root = system(machine)
    tree = QomObject.root()
    for number in range(2):
        controller = tree.add_child(f"usb{number}", QomObject("controller", is_device=True))
        core = controller.add_child("core", QomObject("core", is_device=True))
        bridge = MemoryRegion(machine.topology, "core", 0x10000, owner=core)
        bridge.add_subregion(MemoryRegion.io(machine.topology, "capabilities", 0x10, owner=core), 0)
        window = MemoryRegion.alias_of(machine.topology, "window", bridge, 0, 0x1000, owner=controller)
        root.add_subregion(window, 0x10000 * (number + 1))

    def swapped(recording: Recording) -> Recording:
        lines = list(recording.hmp[TREE_COMMAND])
        first, second = (n for n, line in enumerate(lines) if line == "memory-region: core")
        lines = [*lines[:first], *lines[second:], *lines[first:second]]
        return replace(recording, hmp={**recording.hmp, TREE_COMMAND: tuple(lines)})

    trip = round_trip(machine, edit=swapped)
    assert trip.differences == []
    assert "equally named memory-region sections were told apart by owner, type and size" in trip.plan.notes


def test_an_alias_may_show_a_part_of_what_contains_it() -> None:
    machine = Machine()
    root = system(machine)
    root.add_subregion(machine.alias("again", root, 0, 0x1000), 0x10000)
    assert same(machine).live("again").alias is not None


# --- rule 5: which view a space has ---


def test_a_root_with_one_full_size_child_shows_that_child() -> None:
    machine = Machine()
    root = system(machine)
    for name, opened in (("open", True), ("closed", False)):
        master = machine.container("bus master container")
        window = machine.alias("bus master", root, 0, SPACE)
        master.add_subregion(window, 0)
        window.set_enabled(opened)
        machine.space(name, master)
    trip = same(machine)
    views = {space.name: space.view for space in trip.rebuilt.spaces}
    assert views["open"] is views["memory"]
    assert views["closed"].root is None


def test_spaces_of_one_view_keep_their_order_and_memory_and_ports_come_first() -> None:
    machine = Machine()
    root = machine.container("system")
    root.add_subregion(machine.io("low", 0x1000), 0)
    root.add_subregion(machine.io("high", 0x1000), 0x2000)
    machine.space("memory", root)
    machine.space("I/O", machine.io("io", 0x10000))
    for name in ("cpu-memory-0", "cpu-memory-1", "a-device"):
        machine.space(name, root)
    trip = same(machine)
    names = [space.name for space in trip.rebuilt.spaces]
    assert names == ["memory", "I/O", "cpu-memory-0", "cpu-memory-1", "a-device"]


def test_a_closed_window_shows_nothing_under_the_name_of_its_bridge() -> None:
    machine = Machine()
    root = system(machine)
    bridge = machine.container("pci_bridge_io", 0x10000)
    bridge.add_subregion(machine.alias("pci_bridge_io", root, 0, 0), 0)
    machine.space("bridge", bridge)
    trip = same(machine)
    assert [part.kind for part in trip.plan.regions if part.name == "pci_bridge_io"] == ["container", "alias"]


# --- rules 7, 8, 10: terminates and sibling order ---


def test_a_parent_terminates_where_it_shows_and_a_leaf_does_not_where_nothing_shows() -> None:
    machine = Machine()
    root = system(machine)
    registers = machine.io("registers", 0x1000)
    registers.add_subregion(machine.io("index", 1), 0x10)
    root.add_subregion(registers, 0x10000)
    root.add_subregion(machine.container("hole", 0x1000), 0x20000)
    trip = same(machine)
    assert trip.region("registers").kind == "io"
    assert trip.region("hole").kind == "container"


def test_of_two_equally_named_regions_the_one_that_lets_something_through_is_not_the_one_shown() -> None:
    machine = Machine()
    root = system(machine)
    root.add_subregion(machine.io("background", 0x2000), 0x10000, -1)
    root.add_subregion(machine.io("device", 0x1000), 0x10000)
    root.add_subregion(machine.container("device", 0x2000), 0x10000)
    trip = same(machine)
    kinds = {part.size: part.kind for part in trip.plan.regions if part.name == "device"}
    assert kinds == {0x1000: "io", 0x2000: "container"}


def test_what_no_view_shows_terminates_when_it_is_a_leaf() -> None:
    machine = Machine()
    root = system(machine)
    off = machine.container("off", 0x1000)
    off.add_subregion(machine.io("leaf", 0x10), 0)
    root.add_subregion(off, 0x10000)
    off.set_enabled(False)
    trip = same(machine)
    assert (trip.region("off").kind, trip.region("leaf").kind) == ("container", "io")
    assert any("2 regions that no view shows" in note for note in trip.plan.notes)


def test_the_newer_of_two_siblings_wins_whatever_their_addresses() -> None:
    machine = Machine()
    root = system(machine)
    root.add_subregion(machine.ram("bios", 0x10000, readonly=True), 0xFFF00000)
    root.add_subregion(machine.io("nvram", 0x4000), 0xFFF04000)
    trip = same(machine)
    assert [region.name for region in trip.live("system").subregions] == ["low", "nvram", "bios", "high"]


def test_of_two_siblings_at_one_address_the_newer_is_printed_first_and_wins() -> None:
    machine = Machine()
    root = system(machine)
    root.add_subregion(machine.ram("large", 0x3000), 0x10000)
    root.add_subregion(machine.ram("small", 0x1000), 0x10000)
    trip = same(machine)
    assert [region.name for region in trip.live("system").subregions] == ["low", "small", "large", "high"]


def test_order_is_a_matter_of_places_not_of_regions() -> None:
    # one RAM behind two overlapping aliases is in front of itself (raspi4b)
    machine = Machine()
    root = system(machine)
    ram = machine.ram("ram", 0x8000)
    root.add_subregion(machine.alias("first", ram, 0, 0x8000), 0x100000)
    root.add_subregion(machine.alias("second", ram, 0, 0x8000), 0x104000)
    trip = same(machine)
    assert [region.name for region in trip.live("system").subregions] == ["low", "second", "first", "high"]


# --- rule 9: inherited flags ---


def test_a_read_only_range_marks_the_alias_it_is_seen_through() -> None:
    machine = Machine()
    root = system(machine)
    ram = machine.ram("pc.ram", 0x200000)
    root.add_subregion(machine.alias("ram-below-4g", ram, 0, 0x200000), 0x100000, -1)
    pam = machine.alias("pam-rom", ram, 0x1000, 0x1000)
    pam.set_readonly(True)
    segments = machine.container("segments", 0x1000)
    segments.add_subregion(pam, 0)
    root.add_subregion(segments, 0x101000, 1)
    trip = same(machine)
    assert not trip.region("segments").readonly
    assert trip.region("pam-rom").readonly
    assert not trip.region("ram-below-4g").readonly
    assert not trip.region("pc.ram").readonly


def test_without_an_alias_the_innermost_region_that_can_be_is_read_only() -> None:
    machine = Machine()
    root = system(machine)
    outer, inner = machine.container("outer", 0x1000), machine.container("inner", 0x1000)
    inner.add_subregion(machine.ram("ram", 0x1000), 0)
    outer.add_subregion(inner, 0)
    inner.set_readonly(True)
    root.add_subregion(outer, 0x10000)
    trip = same(machine)
    assert [part.name for part in trip.plan.regions if part.readonly] == ["inner"]


def test_nonvolatile_is_taken_where_it_is_printed() -> None:
    machine = Machine()
    root = system(machine)
    window = machine.alias("nvdimm-memory", machine.ram("dd2", 0x200000), 0, 0x200000)
    window.set_nonvolatile(True)
    root.add_subregion(window, 0x100000)
    assert same(machine).region("nvdimm-memory").nonvolatile


# --- rules 11, 12: IOMMUs and pages ---


def test_an_iommu_is_known_by_its_mark_in_the_dispatch() -> None:
    machine = Machine()
    root = system(machine)
    root.add_subregion(MemoryRegion.iommu(machine.topology, "tcet", 0x10000), 0x100000)
    trip = same(machine)
    assert [part.name for part in trip.plan.regions if part.kind == "iommu"] == ["tcet"]


@pytest.mark.parametrize("bits", range(8, 17))
@pytest.mark.parametrize("odd", [False, True], ids=["whole pages", "a shared page"])
def test_the_page_size_shows_in_the_dispatch(bits: int, odd: bool) -> None:
    machine = Machine(page_bits=bits)
    root = machine.container("system")
    root.add_subregion(machine.io("device", (1 << 20) + (16 if odd else 0)), 0x40000000)
    root.add_subregion(machine.io("other", 1 << 30), 0x80000000)
    machine.space("memory", root)
    assert same(machine).plan.page_bits == bits


# --- rule 15: RAM blocks ---


def test_blocks_are_found_by_name_by_device_path_and_by_size() -> None:
    machine = Machine()
    root = system(machine)
    root.add_subregion(machine.ram("pc.ram", 0x40000), 0x100000)
    root.add_subregion(machine.ram("vga.vram", 0x20000, idstr="0000:00:02.0/vga.vram"), 0x200000)
    root.add_subregion(machine.ram("m1", 0x12345, idstr=""), 0x300000)
    machine.ram("/rom@etc/acpi/tables", 0x2000, readonly=True)
    trip = same(machine)
    names = {region.name: region.ram_block.idstr for region in trip.rebuilt.regions if region.ram_block is not None}
    assert names == {"pc.ram": "pc.ram", "vga.vram": "0000:00:02.0/vga.vram", "m1": ""}
    (hidden,) = trip.plan.hidden_blocks
    assert trip.plan.blocks[hidden].name == "/rom@etc/acpi/tables"
    recorded = [(block.idstr, block.offset) for block in machine.topology.ram.blocks]
    assert [(block.idstr, block.offset) for block in trip.rebuilt.topology.ram.blocks] == recorded


def test_equally_named_blocks_are_told_apart_by_the_place_of_their_device() -> None:
    machine = Machine()
    root = system(machine)
    tree = QomObject.root()
    for name, place in (("c", "07.0:02.1"), ("a", "02.1")):
        ram = machine.ram("vga.vram", 0x20000, idstr=f"0000:00:{place}/vga.vram")
        ram.owner = ram.parent = tree.add_child(name, QomObject("VGA", is_device=True, device_id=name))
        root.add_subregion(ram, 0x10000000 + len(tree.children) * 0x100000)
    behind = {"devices": [{"slot": 2, "function": 1, "qdev_id": "c"}]}
    devices = [{"slot": 2, "function": 1, "qdev_id": "a"}, {"slot": 7, "function": 0, "pci_bridge": behind}]

    def with_pci(recording: Recording) -> Recording:
        return replace(recording, qmp={"query-pci": [{"bus": 0, "devices": devices}]})

    found = {}
    for region in round_trip(machine, edit=with_pci).rebuilt.regions:
        if region.ram_block is not None:
            assert isinstance(region.owner, QomObject)
            found[region.owner.id] = region.ram_block.idstr
    assert found == {"c": "0000:00:07.0:02.1/vga.vram", "a": "0000:00:02.1/vga.vram"}


def test_a_rom_device_in_command_mode_is_known_by_its_block() -> None:
    machine = Machine()
    root = system(machine)
    flash = machine.flash("system.flash0", 0x1000)
    root.add_subregion(flash, 0xFFE00000)
    flash.set_romd_mode(False)
    trip = same(machine)
    live = trip.live("system.flash0")
    assert live.rom_device
    assert not live.romd_mode
    live.set_romd_mode(True)
    assert any(r.region is live and r.romd_mode for r in trip.rebuilt.spaces[0].view.ranges)


# --- what only one dialect or accelerator has ---


def test_in_11_1_a_region_of_type_io_has_a_container_even_if_no_text_shows_it() -> None:
    machine = Machine(KNOWN["11.1"])
    bus = machine.container("bus")
    bar = machine.container("bar", 0x4000)
    bar.add_subregion(machine.io("one", 0x1000), 0)
    bar.add_subregion(machine.io("two", 0x1000), 0x1000)
    bus.add_subregion(bar, 0x8000, 1)
    machine.space("virtio-pci-cfg-mem-as", bar)
    trip = same(machine)
    assert trip.region("bar").contained
    assert trip.live("bar").container is not None


def test_kvm_slots_are_kept_as_facts() -> None:
    machine = Machine(kvm=True)
    root = system(machine)
    root.add_subregion(machine.ram("pc.ram", 0x40000), 0x100000)
    machine.space("cpu-memory-0", root)
    trip = same(machine)
    assert [(slot.start, slot.size) for slot in trip.plan.slots] == [(0x100000, 0x40000)]
    ((space, places),) = trip.rebuilt.slots.items()
    assert space.name == "memory"
    assert places == {(0x100000, 0x40000)}


# --- recordings that lack a text ---


def test_without_flat_view_and_blocks_the_tree_is_rebuilt_with_stated_assumptions() -> None:
    machine = Machine()
    root = system(machine)
    root.add_subregion(machine.ram("ram", 0x40000), 0x100000)
    io = machine.io("io", 0x10000)
    io.add_subregion(machine.io("port", 8), 0x70)
    machine.space("I/O", io)

    def only_tree(recording: Recording) -> Recording:
        missing = (FLAT_COMMAND, "info mtree -f", RAMBLOCK_COMMAND)
        return replace(recording, hmp={c: t for c, t in recording.hmp.items() if c not in missing})

    trip = round_trip(machine, edit=only_tree)
    assert trip.differences == []
    assert (trip.region("io").kind, trip.region("system").kind) == ("io", "container")
    assert trip.live("ram").ram_block is not None
    assert len(trip.plan.notes) == 3


def test_a_rebuilt_machine_is_live() -> None:
    machine = Machine()
    root = system(machine)
    bar = machine.io("bar", 0x1000)
    root.add_subregion(bar, 0x100000)
    trip = same(machine)
    trip.live("bar").set_address(0x200000)
    assert [r.start for r in trip.rebuilt.spaces[0].view.ranges if r.region.name == "bar"] == [0x200000]
