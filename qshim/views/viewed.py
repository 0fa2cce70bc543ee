"""What every view needs of a machine, and the words that several views share."""

from __future__ import annotations

from typing import Protocol

from qshim.memory import AddressSpace, FlatRange, MemoryRegion, Topology
from qshim.rows import OwnerRow
from qshim.versions import Quirks

__all__ = ["OwnerLike", "Viewed", "owner_rows", "owner_text", "type_word"]


class OwnerLike(Protocol):
    """An object that can own a memory region."""

    @property
    def is_device(self) -> bool:
        """Printed as `dev` instead of `obj`."""

    @property
    def id(self) -> str | None:
        """The id that a user gave to a device."""

    @property
    def path(self) -> str | None:
        """Canonical path; None while it is not in the tree."""

    @property
    def type_name(self) -> str:
        """QOM type."""


class Viewed(Protocol):
    """A machine as the memory views see it."""

    @property
    def topology(self) -> Topology:
        """Its memory."""

    @property
    def quirks(self) -> Quirks:
        """The dialect to print in."""

    def accelerators(self, space: AddressSpace, r: FlatRange) -> tuple[str, ...]:
        """Accelerators that hold a memory slot for exactly this range of *space* (memory.md 6.7)."""


def type_word(region: MemoryRegion, quirks: Quirks) -> str:
    """`ram`, `rom`, `romd`, `ramd`, `i/o` or `container`; an alias has its target's (memory.md 6.2)."""
    while region.alias is not None:
        region = region.alias
    if region.ram_device:
        return "ramd"
    if region.rom_device and region.romd_mode:
        return "romd"
    if region.ram:
        return "rom" if region.readonly else "ram"
    return "container" if quirks.mtree_container_word and region.container is None else "i/o"


def _described(thing: object | None) -> OwnerRow | None:
    if thing is None:
        return None
    owner: OwnerLike = thing  # type: ignore[assignment]
    if owner.is_device and owner.id is not None:
        return OwnerRow(True, "id", owner.id)
    if owner.path is not None:
        return OwnerRow(owner.is_device, "path", owner.path)
    return OwnerRow(owner.is_device, "type", owner.type_name)


def owner_rows(region: MemoryRegion) -> tuple[OwnerRow | None, OwnerRow | None]:
    """Owner and parent as printed: the parent only where it is another object (memory.md 6.6)."""
    parent = region.parent
    return _described(region.owner), None if parent is region.owner else _described(parent)


def owner_text(owner: OwnerRow | None, parent: OwnerRow | None) -> str:
    """` owner:{...}`, ` parent:{...}`, both, or ` orphan` (memory.md 6.6)."""
    if owner is None and parent is None:
        return " orphan"
    text = ""
    for word, row in (("owner", owner), ("parent", parent)):
        if row is not None:
            text += f" {word}:{{{'dev' if row.is_device else 'obj'} {row.key}={row.value}}}"
    return text
