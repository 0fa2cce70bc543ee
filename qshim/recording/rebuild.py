"""From a recording to a live machine: regions, RAM blocks, address spaces, owners.

What the texts imply is worked out by `infer`; here its plan becomes objects. What is served from them
is rendered anew, never replayed, so a rebuilt machine can be changed like a modelled one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from qshim.errors import MemoryModelError, RecordingError
from qshim.memory import AddressSpace, FlatRange, MemoryRegion, RAMBlock, Rules, Topology
from qshim.qom import QomObject
from qshim.recording.format import Recording
from qshim.recording.infer import infer
from qshim.recording.owners import Owners, qom_tree
from qshim.recording.plan import Plan, RegionPlan
from qshim.units import SPACE
from qshim.versions import Quirks, quirks_for

__all__ = ["Rebuilt", "build", "rebuild"]

_BIG_ENDIAN = frozenset((
    "hppa", "m68k", "microblaze", "mips", "mips64", "or1k", "ppc", "ppc64", "s390x", "sh4eb", "sparc", "sparc64",
    "xtensaeb",
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A machine rebuilt from a recording."""

    topology: Topology
    qom: QomObject
    """Root of the object tree, with all owners of regions."""
    regions: tuple[MemoryRegion, ...]
    """Every region of the texts, in the order of the plan."""
    page_bits: int
    slots: Mapping[AddressSpace, frozenset[tuple[int, int]]]
    """KVM memory slots by address space: (start, size in bytes)."""
    quirks: Quirks
    """The dialect of the QEMU that was recorded."""
    notes: tuple[str, ...]
    """What was assumed because the recording does not say it."""

    @property
    def spaces(self) -> tuple[AddressSpace, ...]:
        """Address spaces in order of registration."""
        return tuple(self.topology.spaces)

    def accelerators(self, space: AddressSpace, r: FlatRange) -> tuple[str, ...]:
        """Accelerators with a memory slot for exactly this range of *space* (spec/memory.md 6.7)."""
        slots = self.slots.get(space)
        return ("KVM",) if slots is not None and (r.start, r.size) in slots else ()


def rebuild(recording: Recording) -> Rebuilt:
    """The machine of *recording*, live.

    :raises RecordingError: a text cannot be read, or no machine can have printed these texts together.
    """
    return build(infer(recording), recording)


def build(plan: Plan, recording: Recording) -> Rebuilt:
    """The machine of *plan*, which was inferred from *recording*.

    :raises RecordingError: the memory model refuses a part of it.
    """
    try:
        return _Builder(plan, recording).build()
    except MemoryModelError as error:
        raise RecordingError(f"the recording of {recording.label} cannot be rebuilt: {error}") from error


class _Builder:
    def __init__(self, plan: Plan, recording: Recording) -> None:
        self.plan = plan
        self.quirks, _ = quirks_for(recording.qemu.major, recording.qemu.minor)
        self.topology = Topology(
            page_bits=plan.page_bits,
            big_endian=recording.target in _BIG_ENDIAN,
            tcg=not recording.kvm,
            rules=Rules(
                late_listener_gets_coalesced=self.quirks.late_listener_gets_coalesced,
                eventfd_diff_needs_listener=self.quirks.eventfd_diff_needs_listener,
                debug_write_reaches_rom=self.quirks.debug_write_reaches_rom,
            ),
        )
        self.owners = Owners(qom_tree(recording))
        self.regions: dict[int, MemoryRegion] = {}
        self.blocks: list[RAMBlock] = []

    def build(self) -> Rebuilt:
        plan, topology = self.plan, self.topology
        self.adopt_blocks()
        with topology.transaction():
            for index in range(len(plan.regions)):
                self.region(index)
            for index, part in enumerate(plan.regions):
                self.map_children(index, part)
            self.hide_blocks()
        spaces = [AddressSpace(topology, self.regions[space.root], space.name) for space in plan.spaces]
        slots: dict[AddressSpace, set[tuple[int, int]]] = {}
        for slot in plan.slots:
            slots.setdefault(spaces[slot.space], set()).add((slot.start, slot.size))
        return Rebuilt(
            topology=topology,
            qom=self.owners.root,
            regions=tuple(self.regions[index] for index in range(len(plan.regions))),
            page_bits=plan.page_bits,
            slots={space: frozenset(places) for space, places in slots.items()},
            quirks=self.quirks,
            notes=plan.notes,
        )

    def adopt_blocks(self) -> None:
        for row in self.plan.blocks:
            block = RAMBlock(
                row.offset,
                row.used_length,
                row.max_length,
                page_size=row.page_size,
                idstr=row.name,
                resizeable=row.used_length < row.max_length,
            )
            self.blocks.append(self.topology.ram.adopt(block))

    def region(self, index: int) -> MemoryRegion:
        """The region with *index*, made with what it depends on if it is not there yet."""
        pending = [index]
        while pending:
            at = pending[-1]
            part = self.plan.regions[at]
            if at in self.regions:
                pending.pop()
            elif part.target is not None and part.target not in self.regions:
                if part.target in pending:
                    raise RecordingError(f"alias '{part.name}' of the recording shows itself")
                pending.append(part.target)
            else:
                self.regions[at] = self.made(part)
                pending.pop()
        return self.regions[index]

    def made(self, part: RegionPlan) -> MemoryRegion:
        owner = self.owners.object_of(part.owner)
        region = self.of_kind(part, owner, self.owners.object_of(part.parent) or owner)
        region.priority = part.priority  # kept also by a region that is mapped nowhere (memory.md 6.4)
        region.set_address(part.addr)
        region.set_enabled(part.enabled)
        region.set_readonly(part.readonly)
        region.set_nonvolatile(part.nonvolatile)
        return region

    def of_kind(self, part: RegionPlan, owner: object | None, parent: object | None) -> MemoryRegion:
        topology, name, size = self.topology, part.name, part.size
        if part.kind == "alias":
            assert part.target is not None
            target = self.regions[part.target]
            return MemoryRegion.alias_of(topology, name, target, part.alias_offset, size, owner=owner, parent=parent)
        if part.kind == "container":
            return MemoryRegion(topology, name, size, owner=owner, parent=parent)
        if part.kind == "io":
            return MemoryRegion.io(topology, name, size, owner=owner, parent=parent)
        if part.kind == "iommu":
            return MemoryRegion.iommu(topology, name, size, owner=owner, parent=parent)
        block = self.block_of(part)
        if part.kind == "romd":
            region = MemoryRegion.rom_device_memory(topology, name, size, block=block, owner=owner, parent=parent)
            region.set_romd_mode(part.romd_mode)
            return region
        if part.kind == "ramd":
            return MemoryRegion.ram_device_memory(topology, name, size, block, owner=owner, parent=parent)
        return MemoryRegion.memory(topology, name, size, block, owner=owner, parent=parent, readonly=part.kind == "rom")

    def block_of(self, part: RegionPlan) -> RAMBlock | None:
        if part.block is not None:
            return self.blocks[part.block]
        if self.plan.blocks or not part.size:
            return None
        ram = self.topology.ram
        block = ram.allocate(part.size)
        if part.name and ram.by_name(part.name) is None:
            ram.register(block, part.name)
        return block

    def map_children(self, index: int, part: RegionPlan) -> None:
        region = self.regions[index]
        # the newest of equal priorities comes first, so the list is filled from its end
        for child in reversed(part.children):
            child_part = self.plan.regions[child]
            region.add_subregion(self.regions[child], child_part.addr, child_part.priority)
        if part.contained:
            container = MemoryRegion(self.topology, None, SPACE)
            container.add_subregion(region, part.addr, part.priority)

    def hide_blocks(self) -> None:
        """Blocks whose region no text shows get one, which carries their readonly flag."""
        for index in self.plan.hidden_blocks:
            row = self.plan.blocks[index]
            name = row.name if row.name.startswith("/") else row.name.rpartition("/")[2]
            MemoryRegion.memory(
                self.topology, name or None, row.used_length, self.blocks[index], readonly=bool(row.readonly)
            )
