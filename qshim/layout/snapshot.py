"""A machine's memory layout without anything that does not matter: what goldens hold and rules judge.

Gone are host addresses, process ids, the order of hash tables, accelerator marks, the dispatch, the micro version,
the word `container` (11.1), and the numbers of devices nobody named (`device[8]` counts in the order of
making). What is left is sorted, but for two orders that mean something: siblings in a tree (of equal address and
priority the first one wins) and RAM blocks (the order in which a migration sends them).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from qshim.layout.compare import Layout
from qshim.recording.format import Recording
from qshim.rows import BlockRow, FlatRow, GroupRow, OwnerRow, RegionRow, TreeRow
from qshim.versions import quirks_for
from qshim.views.flatview import flat
from qshim.views.mtree import tree

if TYPE_CHECKING:
    from qshim.vm import Vm

__all__ = ["BlockNote", "Snapshot", "canonical_layout", "is_option_rom"]

_UNNAMED = re.compile(r"(?<=/unattached/device\[)\d+(?=\])|(?<=/peripheral-anon/device\[)\d+(?=\])")
_OPTION_ROM = re.compile(r"[0-9a-f]{4}:[0-9a-f:.]+/(.+)\.rom")

_FILE_BACKEND = "memory-backend-file"


class BlockNote(NamedTuple):
    """What `info ramblock` does not say of a RAM block."""

    resizeable: bool | None
    """Whether an incoming migration may change its length; None where the source of the layout cannot tell."""
    shared: bool = False
    """A migration with x-ignore-shared sends no contents of it, by the rules of its own QEMU."""
    from_file: bool = False
    """Its length is that of a file that is installed with QEMU."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One machine's layout in canonical form; equal snapshots are equal machines as far as memory goes."""

    machine: str | None
    """The machine type with its version, never an alias; None where nobody knows."""
    target: str | None
    qemu: str | None
    """MAJOR.MINOR of the QEMU that it is the layout of."""
    state: str
    """`reset`, `firmware` or `running`: when it was taken."""
    layout: Layout
    notes: tuple[BlockNote, ...]
    """One for each block of the layout."""
    devices: tuple[Mapping[str, Any], ...] = ()
    """Memory devices (DIMMs and the like) by address: members of query-memory-devices with their `type`."""

    @classmethod
    def of_recording(cls, recording: Recording) -> Snapshot:
        """The layout that a real QEMU printed.

        :raises RecordingError: a text is missing or cannot be read.
        """
        layout = Layout.of_recording(recording, dispatch=False)
        backends = recording.qmp.get("query-memdev")
        known = {str(b["id"]): b for b in backends if "id" in b} if isinstance(backends, list) else {}
        argv = recording.argv[1:] if recording.argv else None
        quirks, _ = quirks_for(recording.qemu.major, recording.qemu.minor)
        files = _named_files(recording.hmp.get("info qom-tree /objects", ()))
        shared = {
            name
            for name, backend in known.items()
            if backend.get("share") and (name in files or not quirks.ignore_shared_needs_file)
        }
        notes = tuple(
            BlockNote(_resizeable(b, known), _id_of(b.name) in shared, _from_file(b.name, argv)) for b in layout.blocks
        )
        return cls(
            recording.machine, recording.target, f"{recording.qemu.major}.{recording.qemu.minor}", recording.when,
            canonical_layout(layout), notes, _devices(recording.qmp.get("query-memory-devices")),
        )  # fmt: skip

    @classmethod
    def of_vm(cls, vm: Vm, argv: Sequence[str] | None = None) -> Snapshot:
        """The layout of a machine of our own: modelled from the options *argv*, or as it was recorded."""
        if vm.machine_model is None and vm.recording is not None:
            return cls.of_recording(vm.recording)
        shared = {
            b.id for b in (vm.backends or {}).values()
            if b.share and (b.type_name == _FILE_BACKEND or not vm.quirks.ignore_shared_needs_file)
        }  # fmt: skip
        blocks, notes = [], []
        for block in vm.topology.ram.blocks:
            # 7.2 does not tell, and a layout is the same text whoever takes it
            tells = vm.quirks.ramblock_shows_host
            readonly = (block.region is not None and block.region.readonly) if tells else None
            row = BlockRow(
                block.idstr, block.page_size, block.offset, block.used_length, block.max_length, None, readonly
            )
            blocks.append(row)
            notes.append(BlockNote(block.resizeable, _id_of(row.name) in shared, _from_file(row.name, argv)))
        layout = Layout(tree(vm, owner=True, disabled=True), flat(vm), tuple(blocks))
        version = f"{vm.version.major}.{vm.version.minor}"
        return cls(
            vm.machine, vm.target, version, "reset", canonical_layout(layout), tuple(notes),
            _devices(vm.recorded("query-memory-devices")),
        )  # fmt: skip

    def resizeable(self, name: str) -> bool | None:
        """Whether the block *name* can be resized by a migration; None where nobody knows."""
        for row, note in zip(self.layout.blocks, self.notes, strict=True):
            if row.name == name:
                return note.resizeable
        return None


def canonical_layout(layout: Layout) -> Layout:
    """*layout* without what does not matter, in an order of its own."""
    groups = sorted(
        (GroupRow(tuple(sorted(g.spaces)), _regions(g.regions)) for g in layout.tree.groups),
        key=lambda g: (g.spaces, [_key(r) for r in g.regions]),
    )
    targets = sorted(
        (replace(t, regions=_regions(t.regions)) for t in layout.tree.targets),
        key=lambda t: (t.name, [_key(r) for r in t.regions]),
    )
    views = sorted(
        (
            replace(
                view,
                spaces=tuple(sorted(view.spaces, key=lambda s: (s.name, s.root, s.alias or ""))),
                ranges=tuple(
                    replace(r, owner=None, parent=None, accelerators=(), type=_word(r.type)) for r in view.ranges
                ),
                dispatch=None,
            )
            for view in layout.flat.views
        ),
        key=lambda v: (
            [(s.name, s.root) for s in v.spaces],
            v.root or "",
            [(r.start, r.last, r.name, r.offset) for r in v.ranges],
        ),
    )
    return Layout(
        TreeRow(tuple(groups), tuple(targets), layout.tree.owners, layout.tree.disabled),
        FlatRow(tuple(views)),
        tuple(replace(block, host=None) for block in layout.blocks),
    )


def is_option_rom(name: str) -> bool:
    """Whether a RAM block of this name is the expansion ROM of a PCI device."""
    return _OPTION_ROM.fullmatch(name) is not None


def _regions(rows: Sequence[RegionRow]) -> tuple[RegionRow, ...]:
    return tuple(
        replace(row, owner=_unnumbered(row.owner), parent=_unnumbered(row.parent), type=_word(row.type)) for row in rows
    )


def _key(row: RegionRow) -> tuple[object, ...]:
    return (row.level, row.start, row.last, row.priority, row.name, row.type, row.disabled)


def _word(kind: str) -> str:
    return "i/o" if kind == "container" else kind


def _unnumbered(owner: OwnerRow | None) -> OwnerRow | None:
    if owner is None or owner.key != "path":
        return owner
    return replace(owner, value=_UNNAMED.sub("", owner.value))


def _named_files(tree: Sequence[str]) -> set[str]:
    """Ids of the backends that are named files, from `info qom-tree /objects`."""
    found = (re.fullmatch(rf" +/(.*) \({_FILE_BACKEND}\)", line) for line in tree)
    return {match[1] for match in found if match is not None}


def _id_of(block: str) -> str:
    """The id of the backend whose block this is: the block is called like it, or by its path."""
    return block.rpartition("/")[2] if block.startswith("/objects/") else block


def _resizeable(block: BlockRow, backends: Mapping[str, object]) -> bool | None:
    """What a capture tells: a maximum above the length; blobs for the firmware; backends and expansion ROMs.

    QEMU makes every blob that the firmware loads (`/rom@`) resizeable, and no memory backend and no expansion ROM
    (real migrations, 7.2, 10.0 and 11.1).
    """
    if block.used_length < block.max_length or block.name.startswith("/rom@"):
        return True
    if is_option_rom(block.name) or _id_of(block.name) in backends:
        return False
    return None


def _from_file(name: str, argv: Sequence[str] | None) -> bool:
    """Whether the length of a ROM is that of an installed file; not where the command line gives the size."""
    if argv is None:
        return False
    match = _OPTION_ROM.fullmatch(name)
    if match is None:
        return False
    stem = match[1].casefold()
    sized = (word.casefold() for word in argv if "romsize=" in word)
    return not any(stem in word for word in sized)


def _devices(answer: object) -> tuple[Mapping[str, Any], ...]:
    """The members that say where a memory device is, by address."""
    if not isinstance(answer, list):
        return ()
    rows: list[dict[str, Any]] = []
    for entry in answer:
        data = {k: v for k, v in entry["data"].items() if k not in ("hotplugged", "hotpluggable", "requested-size")}
        if "id" in data and str(data["id"]).startswith("/machine/peripheral-anon"):
            del data["id"]  # numbered in the order of making
        rows.append({"type": entry["type"], **dict(sorted(data.items()))})
    return tuple(sorted(rows, key=lambda row: (row.get("addr", row.get("memaddr", 0)), str(row))))
