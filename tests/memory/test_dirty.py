"""Dirty bitmaps against sets of page numbers (spec/memory.md 5.12)."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from qshim.memory import AddressSpace, MemoryRegion, Topology
from qshim.memory.access import write
from qshim.memory.allocate import allocate_ram
from qshim.memory.dirty import DirtyBitmaps, DirtyClient

PAGE = 256
RANGES = st.tuples(st.integers(0, 40 * PAGE), st.integers(0, 10 * PAGE))
CLIENTS = st.sampled_from(DirtyClient)


def pages(start: int, length: int) -> set[int]:
    return {addr // PAGE for addr in range(start, start + length)}


class AgainstSets(RuleBasedStateMachine):
    """Every operation on the bitmaps and on plain sets."""

    def __init__(self) -> None:
        super().__init__()
        self.bitmaps = DirtyBitmaps(8)
        self.sets: dict[DirtyClient, set[int]] = {client: set() for client in DirtyClient}

    @rule(where=RANGES, mask=st.integers(0, 7))
    def set_range(self, where: tuple[int, int], mask: int) -> None:
        self.bitmaps.set_range(*where, mask)
        for client in DirtyClient:
            if mask >> client & 1:
                self.sets[client] |= pages(*where)

    @rule(where=RANGES, client=CLIENTS)
    def test_and_clear(self, where: tuple[int, int], client: DirtyClient) -> None:
        assert self.bitmaps.test_and_clear(*where, client) == bool(self.sets[client] & pages(*where))
        self.sets[client] -= pages(*where)

    @rule(where=RANGES, client=CLIENTS)
    def is_dirty(self, where: tuple[int, int], client: DirtyClient) -> None:
        assert self.bitmaps.is_dirty(*where, client) == bool(self.sets[client] & pages(*where))

    @rule(where=RANGES, mask=st.integers(0, 7))
    def clean_clients(self, where: tuple[int, int], mask: int) -> None:
        expected = sum(1 << c for c in DirtyClient if mask >> c & 1 and pages(*where) - self.sets[c])
        assert self.bitmaps.clean_clients(*where, mask) == expected

    @rule(where=RANGES)
    def clear_range(self, where: tuple[int, int]) -> None:
        self.bitmaps.clear_range(*where)
        for client in DirtyClient:
            self.sets[client] -= pages(*where)

    @rule(where=RANGES, client=CLIENTS, probe=RANGES)
    def snapshot(self, where: tuple[int, int], client: DirtyClient, probe: tuple[int, int]) -> None:
        group = 64 * PAGE
        low, high = where[0] // group * group, -(-(where[0] + where[1]) // group) * group
        covered = pages(low, high - low)
        taken = self.sets[client] & covered
        snapshot = self.bitmaps.snapshot_and_clear(*where, client)
        assert (snapshot.start, snapshot.end) == (low, high)
        self.sets[client] -= covered
        assert snapshot.any(*probe) == bool(taken & pages(*probe))


TestAgainstSets = AgainstSets.TestCase
TestAgainstSets.settings = settings(max_examples=60, stateful_step_count=30)


@given(st.integers(1, 1 << 44))
def test_new_blocks_are_dirty_for_everybody(size: int) -> None:
    topology = Topology()
    region = allocate_ram(topology, "ram", size)
    block = region.ram_block
    assert block is not None
    assert topology.ram.dirty.clean_clients(block.offset, block.used_length, 7) == 0


def test_writes_set_what_is_logged() -> None:
    topology = Topology()
    system = MemoryRegion(topology, "system", 1 << 32)
    space = AddressSpace(topology, system, "memory")
    ram = allocate_ram(topology, "vram", 0x4000)
    system.add_subregion(ram, 0x1000)
    dirty = topology.ram.dirty
    dirty.clear_range(0, 0x4000)
    write(space, 0x2000, b"unseen")
    assert not dirty.is_dirty(0, 0x4000, DirtyClient.VGA)
    ram.set_vga_logging(True)
    write(space, 0x3FFF, b"ab")
    assert [dirty.is_dirty(page, 0x1000, DirtyClient.VGA) for page in range(0, 0x4000, 0x1000)] == [
        *(False, False, True, True),
    ]
    assert not dirty.is_dirty(0, 0x4000, DirtyClient.MIGRATION)
