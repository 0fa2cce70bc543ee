"""The rules in their order: texts, nodes, plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qshim.errors import RecordingError
from qshim.recording.format import FLAT_COMMAND, RAMBLOCK_COMMAND, TREE_COMMAND, QomRegion, Recording
from qshim.recording.infer.aliases import resolve_aliases
from qshim.recording.infer.blocks import assign_blocks
from qshim.recording.infer.lineup import with_owners
from qshim.recording.infer.merge import merge
from qshim.recording.infer.nodes import Forest, Node, contradiction, forest_of, walk
from qshim.recording.infer.pages import default_page_bits, page_bits_of
from qshim.recording.infer.pcifacts import device_paths
from qshim.recording.infer.qomfacts import settle_sizes
from qshim.recording.infer.readonly import settle_readonly
from qshim.recording.infer.sight import Piece, instances_of, pieces_of
from qshim.recording.infer.spaces import Scene, assign_views, registration_order
from qshim.recording.infer.terminate import SiblingOrder, settle_terminates, winner_of
from qshim.recording.parse import iommu_starts, parse_blocks, parse_flat, parse_tree
from qshim.recording.plan import Plan, RegionPlan, SlotPlan, SpacePlan
from qshim.rows import BlockRow, FlatRow, TreeRow
from qshim.versions import DEFAULT, Quirks, quirks_for

__all__ = ["flat_command", "infer", "infer_rows"]

_FLATS = (FLAT_COMMAND, "info mtree -f -d -o -D", "info mtree -f -d", "info mtree -f -o", "info mtree -f")


def infer(recording: Recording) -> Plan:
    """The machine that printed the texts of *recording*.

    Needed is an `info mtree` in any form; `-o -D` says most. Without a flat view or `info ramblock`
    what they would have told is assumed, and `Plan.notes` says so.

    :raises RecordingError: a text cannot be read, or no machine can have printed these texts together.
    """
    notes: list[str] = []
    tree = _tree(recording, notes)
    command = flat_command(recording)
    flat = iommus = None
    page_bits = recording.page_bits
    if command is None:
        notes.append(
            "no flat view was recorded: regions without children terminate, others do not; siblings as printed"
        )
    else:
        lines = recording.hmp[command]
        flat = parse_flat(lines, kvm=recording.kvm, dispatch=False, name=command)
        if flat.dispatch:
            iommus = iommu_starts(lines)
            page_bits = page_bits_of(lines, command) if page_bits is None else page_bits
    if page_bits is None:
        page_bits = default_page_bits(recording)
        notes.append(f"no dispatch was recorded: pages are taken to be {1 << page_bits} bytes")
    blocks = None
    if RAMBLOCK_COMMAND in recording.hmp:
        blocks = parse_blocks(recording.hmp[RAMBLOCK_COMMAND], name=RAMBLOCK_COMMAND)
    else:
        notes.append("no RAM blocks were recorded: each RAM region gets one of its own size")
    quirks, _ = quirks_for(recording.qemu.major, recording.qemu.minor)
    places = device_paths(recording.qmp.get("query-pci"))
    return _Inference(quirks, recording.qom, places, notes).run(tree, flat, blocks, iommus, page_bits)


def infer_rows(
    tree: TreeRow,
    flat: FlatRow | None = None,
    blocks: tuple[BlockRow, ...] | None = None,
    page_bits: int = 12,
    quirks: Quirks = DEFAULT,
) -> Plan:
    """Like `infer`, from rows alone; no region is known to be an IOMMU."""
    return _Inference(quirks, {}, {}, []).run(tree, flat, blocks, None, page_bits)


def flat_command(recording: Recording) -> str | None:
    """The richest flat view that *recording* has."""
    return next((command for command in _FLATS if command in recording.hmp), None)


def _tree(recording: Recording, notes: list[str]) -> TreeRow:
    hmp = recording.hmp
    if TREE_COMMAND in hmp:
        return parse_tree(hmp[TREE_COMMAND], disabled=True, name=TREE_COMMAND)
    owners = hmp.get("info mtree -o")
    if "info mtree -D" in hmp:
        tree = parse_tree(hmp["info mtree -D"], disabled=True, name="info mtree -D")
        if owners is not None:
            return with_owners(tree, parse_tree(owners, disabled=False, name="info mtree -o"))
        notes.append("no owners were recorded (-o)")
        return tree
    for command in ("info mtree -o", "info mtree", "info mtree -d"):
        if command in hmp:
            notes.append("disabled regions were not recorded (-D)")
            return parse_tree(hmp[command], name=command)
    raise RecordingError(f"the recording of {recording.label} has no 'info mtree'; record '{TREE_COMMAND}'")


class _Inference:
    def __init__(
        self, quirks: Quirks, qom: Mapping[str, QomRegion], places: Mapping[str, str], notes: list[str]
    ) -> None:
        self.quirks = quirks
        self.qom = qom
        self.places = places
        self.notes = notes
        self.used_queue = False

    def run(
        self,
        tree: TreeRow,
        flat: FlatRow | None,
        blocks: tuple[BlockRow, ...] | None,
        iommus: Sequence[Sequence[int]] | None,
        page_bits: int,
    ) -> Plan:
        try:
            return self.attempt(tree, flat, blocks, iommus, page_bits, queue=True)
        except RecordingError:
            if not self.used_queue:
                raise
            try:
                # the groups may have been put in another order than QEMU's; then the sections mislead
                return self.attempt(tree, flat, blocks, iommus, page_bits, queue=False)
            except RecordingError:
                pass
            raise

    def attempt(
        self,
        tree: TreeRow,
        flat: FlatRow | None,
        blocks: tuple[BlockRow, ...] | None,
        iommus: Sequence[Sequence[int]] | None,
        page_bits: int,
        *,
        queue: bool,
    ) -> Plan:
        """All rules once; *queue*: the order of the sections is what QEMU printed."""
        notes = list(self.notes)
        forest = forest_of(tree)
        merge(forest)
        self.used_queue = resolve_aliases(forest, queue=queue)
        nodes = _all_nodes(forest)
        if self.qom:
            settle_sizes(nodes, self.qom)
        if flat is None:
            spaces = [(name, root.node) for root in forest.groups for name in root.spaces]
            scenes: list[Scene] = []
            self.default_roots(spaces)
        else:
            scenes = assign_views(forest, flat)
            spaces = registration_order(scenes)
        owners = forest.owners and flat is not None and flat.owners
        open_count = self.see(nodes, scenes, owners, iommus)
        if open_count and scenes:
            notes.append(f"{open_count} regions that no view shows: those without children terminate, others do not")
        hidden: tuple[int, ...] = ()
        if blocks is not None:
            hidden = assign_blocks(nodes, blocks, self.places)
        regions = tuple(_region_plan(node, self.quirks.mtree_container_word) for node in nodes)
        space_plans = tuple(SpacePlan(name, node.index) for name, node in spaces)
        notes += dict.fromkeys(forest.notes)
        slots = _slots(scenes, spaces)
        return Plan(regions, space_plans, blocks or (), hidden, page_bits, slots, tuple(notes))

    def default_roots(self, spaces: list[tuple[str, Node]]) -> None:
        for name, root in spaces:
            if name == "I/O" and root.terminates is None:
                root.terminates = True  # memory.md 2.4: unclaimed ports belong to `io`

    def see(self, nodes: list[Node], scenes: list[Scene], owners: bool, iommus: Sequence[Sequence[int]] | None) -> int:
        """Rules 6 to 11; how many regions no view decided about."""
        parts: list[list[Piece]] = []
        for scene in scenes:
            if scene.node is None and scene.view.ranges:
                contradiction("a view without root shows a range", scene.view.ranges[0])
            parts.append([] if scene.node is None else pieces_of(scene.view, instances_of(scene.node), owners))
        pieces = [piece for part in parts for piece in part]
        settle_terminates(pieces)
        order = SiblingOrder.empty()
        order.learn(pieces)
        open_count = order.default_terminates(nodes, pieces)
        order.apply()
        settle_readonly(pieces)
        if iommus is not None:
            for part, starts in zip(parts, iommus, strict=True):
                for start in starts:
                    self.mark_iommu(part, start)
        return open_count

    def mark_iommu(self, part: list[Piece], start: int) -> None:
        there = [piece for piece in part if piece.shown is not None and piece.start <= start <= piece.shown.last]
        if not there:
            contradiction(f"an IOMMU section starts at {start:#x}, where the view has no range")
        winner_of(there[-1]).node.iommu = True


def _all_nodes(forest: Forest) -> list[Node]:
    nodes: list[Node] = []
    for root in (*forest.groups, *forest.sections):
        for node in walk(root.node):
            if node.index < 0:
                node.index = len(nodes)
                nodes.append(node)
    return nodes


def _region_plan(node: Node, container_word: bool) -> RegionPlan:
    contained = container_word and node.container is None and node.alias is None and node.type == "i/o"
    if node.alias is not None:
        kind = "alias"
    elif node.is_memory:
        kind = node.type
    elif node.command_mode:
        kind = "romd"
    elif node.iommu:
        kind = "iommu"
    else:
        kind = "io" if node.terminates else "container"
    return RegionPlan(
        name=node.name,
        addr=node.addr,
        size=node.size,
        priority=node.priority,
        kind=kind,
        enabled=node.enabled,
        nonvolatile=node.nonvolatile,
        readonly=node.readonly,
        romd_mode=not node.command_mode,
        target=None if node.target is None else node.target.index,
        alias_offset=0 if node.alias is None else node.alias.start,
        owner=node.owner,
        parent=node.parent,
        children=tuple(child.index for child in node.children),
        block=node.block,
        contained=contained,
    )


def _slots(scenes: list[Scene], spaces: list[tuple[str, Node]]) -> tuple[SlotPlan, ...]:
    """One slot for each ` KVM`: in `memory` where that has the view, then in the view's other spaces."""
    slots: list[SlotPlan] = []
    at = {(name, id(node)): index for index, (name, node) in reversed(tuple(enumerate(spaces)))}
    for scene in scenes:
        if not any(shown.accelerators for shown in scene.view.ranges):
            continue
        users = sorted({at[name, id(root.node)] for root in scene.roots for name in root.spaces})
        for shown in scene.view.ranges:
            for space in users[: len(shown.accelerators)]:
                slots.append(SlotPlan(space, shown.start, shown.last - shown.start + 1))
    return tuple(slots)
