"""Small live machines that are printed, rebuilt from the print, and printed again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from qshim.layout.verify import Difference, verify
from qshim.memory import AddressSpace, FlatRange, MemoryRegion, Topology
from qshim.recording.format import FLAT_COMMAND, RAMBLOCK_COMMAND, TREE_COMMAND, QemuVersion, Recording, lines_of
from qshim.recording.infer import infer
from qshim.recording.plan import Plan, RegionPlan
from qshim.recording.rebuild import Rebuilt, build
from qshim.rows import BlockRow
from qshim.units import SPACE
from qshim.versions import KNOWN, Quirks
from qshim.views.flatview import flat, flat_text
from qshim.views.mtree import tree, tree_text
from qshim.views.ramblock import blocks, blocks_text

DUMMY = BlockRow("", 4096, 0, 4096, 4096)


@dataclass
class Machine:
    """A machine of a test: a topology with the shorthands that the tests need."""

    quirks: Quirks = KNOWN["10.0"]
    page_bits: int = 12
    kvm: bool = False
    topology: Topology = field(init=False)

    def __post_init__(self) -> None:
        self.topology = Topology(page_bits=self.page_bits)

    def accelerators(self, space: AddressSpace, r: FlatRange) -> tuple[str, ...]:
        """All memory of the space `memory` has slots when the machine is one with KVM."""
        return ("KVM",) if self.kvm and r.region.ram and space.name == "memory" else ()

    def container(self, name: str, size: int = SPACE) -> MemoryRegion:
        return MemoryRegion(self.topology, name, size)

    def io(self, name: str, size: int) -> MemoryRegion:
        return MemoryRegion.io(self.topology, name, size)

    def ram(self, name: str, size: int, *, idstr: str | None = None, readonly: bool = False) -> MemoryRegion:
        """RAM with a block; *idstr* other than the name, "" for a block that nobody named."""
        block = self.topology.ram.allocate(size)
        if idstr != "":
            self.topology.ram.register(block, name if idstr is None else idstr)
        return MemoryRegion.memory(self.topology, name, size, block, readonly=readonly)

    def flash(self, name: str, size: int) -> MemoryRegion:
        block = self.topology.ram.allocate(size)
        self.topology.ram.register(block, name)
        return MemoryRegion.rom_device_memory(self.topology, name, size, block=block)

    def alias(self, name: str, target: MemoryRegion, offset: int, size: int) -> MemoryRegion:
        return MemoryRegion.alias_of(self.topology, name, target, offset, size)

    def space(self, name: str, root: MemoryRegion) -> AddressSpace:
        return AddressSpace(self.topology, root, name)

    def recording(self, *, with_blocks: bool = True) -> Recording:
        """What this machine prints, as a recording."""
        hmp = {
            TREE_COMMAND: lines_of(tree_text(tree(self, owner=True, disabled=True))),
            FLAT_COMMAND: lines_of(flat_text(flat(self, owner=True, dispatch=True))),
            "info mtree": lines_of(tree_text(tree(self))),
            "info mtree -f": lines_of(flat_text(flat(self))),
        }
        if with_blocks:
            hmp[RAMBLOCK_COMMAND] = lines_of(blocks_text(blocks(self), self.quirks))
        major, minor = (int(part) for part in self.quirks.label.split("."))
        return Recording(QemuVersion(major, minor), target="x86_64", machine="test", kvm=self.kvm, hmp=hmp)


@dataclass
class RoundTrip:
    """A machine printed, inferred and rebuilt."""

    recording: Recording
    plan: Plan
    rebuilt: Rebuilt

    def region(self, name: str, number: int = 0) -> RegionPlan:
        """The planned region of that name; *number* counts equally named ones."""
        return [part for part in self.plan.regions if part.name == name][number]

    def live(self, name: str) -> MemoryRegion:
        return next(region for region in self.rebuilt.regions if region.name == name)

    @property
    def differences(self) -> list[Difference]:
        """Texts that the rebuilt machine prints differently."""
        return list(verify(self.recording, self.rebuilt))


def round_trip(
    machine: Machine,
    *,
    with_blocks: bool = True,
    edit: Callable[[Recording], Recording] = lambda recording: recording,
) -> RoundTrip:
    """Print *machine*, rebuild it; without blocks its RAM has none, whatever its size."""
    recording = edit(machine.recording(with_blocks=with_blocks))
    plan = infer(recording)
    built = plan if with_blocks else replace(plan, blocks=(DUMMY,))
    return RoundTrip(recording, plan, build(built, recording))
