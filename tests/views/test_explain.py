"""`explain`: the winner is the flat view's, the losers are named with their reason."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given

from qshim.errors import UsageError
from qshim.memory import AddressSpace, FlatRange, MemoryRegion, Topology
from qshim.memory.allocate import allocate_ram, register_ram
from qshim.units import SPACE
from qshim.versions import KNOWN, Quirks
from qshim.views.explain import explain, explain_json, explain_text
from tests.memory.worlds import World, points, worlds


@dataclass
class Machine:
    """Just enough for a view."""

    topology: Topology
    quirks: Quirks = KNOWN["7.2"]

    def accelerators(self, space: AddressSpace, r: FlatRange) -> tuple[str, ...]:
        return ()


def pc() -> Machine:
    """RAM below, a BAR over a piece of it, a disabled window, a second BAR that lost."""
    topology = Topology()
    system = MemoryRegion(topology, "system", SPACE)
    AddressSpace(topology, system, "memory")
    ram = allocate_ram(topology, "pc.ram", 0x200000)
    register_ram(topology, ram)
    system.add_subregion(MemoryRegion.alias_of(topology, "ram-below-4g", ram, 0x100000, 0x100000), 0)
    pci = MemoryRegion(topology, "pci", SPACE)
    system.add_subregion(pci, 0, -1)
    for name in ("old-bar", "new-bar"):
        pci.add_subregion(MemoryRegion.io(topology, name, 0x1000), 0xE0000000)
    window = MemoryRegion.io(topology, "smram", 0x1000)
    window.set_enabled(False)
    system.add_subregion(window, 0xC0000000)
    system.add_subregion(MemoryRegion.io(topology, "over", 0x1000), 0x2000, 1)
    return Machine(topology)


def test_ram_down_to_the_host_address() -> None:
    machine = pc()
    block = machine.topology.ram.blocks[0]
    assert explain_text(explain(machine, 0x1234)) == (
        "guest address  0000000000001234 in address space 'memory'\n"
        "flat range     0000000000000000-0000000000001fff (ram): pc.ram @0000000000100000\n"
        "path\n"
        "  0000000000000000-ffffffffffffffff (prio 0, i/o): system orphan\n"
        "    0000000000000000-00000000000fffff (prio 0, ram): ram-below-4g orphan\n"
        "      fffffffffff00000-00000000000fffff (prio 0, ram): pc.ram (shown by the alias) orphan\n"
        "region         'pc.ram', offset 0x101234\n"
        "RAM block      'pc.ram', offset 0x101234, ram_addr 0x101234\n"
        f"host address   {block.host + 0x101234:#x}\n"
    )


@pytest.mark.parametrize(
    ("addr", "reason", "others"),
    [
        (0x40000000, "a hole: no region lies here", []),
        (0xC0000010, "a hole: only disabled regions lie here (smram)", [("smram", "disabled")]),
        (0xE0000010, "accesses go to the registers of 'new-bar'", [("old-bar", "hidden")]),
        (0x2010, "accesses go to the registers of 'over'", [("pc.ram", "hidden")]),
    ],
)
def test_why_there_is_no_host_address(addr: int, reason: str, others: list[tuple[str, str]]) -> None:
    found = explain(pc(), addr)
    assert found.host is None
    assert found.reason == reason
    losers = [(c.region.name, c.verdict) for c in found.candidates if c.verdict in ("hidden", "disabled")]
    assert losers == others
    assert explain_json(found)["reason"] == reason


def test_who_hid_it_and_why() -> None:
    assert "old-bar, by 'new-bar' (equal priority, added later)" in explain_text(explain(pc(), 0xE0000010))
    assert "pc.ram, by 'over' (prio 1 over 0)" in explain_text(explain(pc(), 0x2010))


@given(worlds())
def test_the_winner_is_what_the_flat_view_shows(world: World) -> None:
    machine = Machine(world.topology)
    for space in world.spaces:
        for addr in points(space.view.ranges)[::7]:
            seen, shown = explain(machine, addr, space.name), space.view.find(addr)
            if shown is None:
                assert seen.visible is None
            else:
                assert seen.visible is not None
                assert seen.visible.region.name == shown.region.name
                assert seen.visible.region.offset == shown.offset + addr - shown.start


def test_questions_that_make_no_sense() -> None:
    with pytest.raises(UsageError, match="there is no address space 'cpu'; this machine has: memory"):
        explain(pc(), 0, "cpu")
    with pytest.raises(UsageError, match="0x10000000000000000 is no guest address"):
        explain(pc(), SPACE)
