"""A machine as the recording tells it: frozen, without live objects, everything by index.

`infer` makes a `Plan` from texts, `rebuild` makes live regions from a `Plan`.
"""

from __future__ import annotations

from dataclasses import dataclass

from qshim.rows import BlockRow, OwnerRow

__all__ = ["KINDS", "Plan", "RegionPlan", "SlotPlan", "SpacePlan"]

KINDS = ("container", "io", "ram", "rom", "romd", "ramd", "alias", "iommu")
"""`container`: does not terminate. `rom`: RAM with its own readonly flag. See spec/memory.md 1.2."""


@dataclass(frozen=True, slots=True)
class RegionPlan:
    """One memory region."""

    name: str
    addr: int
    """Offset in the container, or the region's own address when it has none."""
    size: int
    """Bytes, 0 to 2^64."""
    priority: int
    kind: str
    """One of `KINDS`."""
    enabled: bool = True
    nonvolatile: bool = False
    readonly: bool = False
    """What is seen through the region is read-only; implied for `rom`."""
    romd_mode: bool = True
    """False: a ROM device in command mode, which prints as i/o."""
    target: int | None = None
    """Index of the region that an alias shows."""
    alias_offset: int = 0
    owner: OwnerRow | None = None
    parent: OwnerRow | None = None
    """As printed: None when it is the owner."""
    children: tuple[int, ...] = ()
    """In list order: highest priority first, newest first among equals."""
    block: int | None = None
    """Index of the RAM block."""
    contained: bool = False
    """It is mapped in a container that no text shows (11.1 prints such a region as i/o, not container)."""


@dataclass(frozen=True, slots=True)
class SpacePlan:
    """One address space."""

    name: str
    root: int


@dataclass(frozen=True, slots=True)
class SlotPlan:
    """A KVM memory slot: *size* bytes at *start* of the address space with index *space*."""

    space: int
    start: int
    size: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole machine."""

    regions: tuple[RegionPlan, ...]
    spaces: tuple[SpacePlan, ...]
    """In an order of registration that gives the recorded views."""
    blocks: tuple[BlockRow, ...]
    """In list order; empty when the recording has no `info ramblock`."""
    hidden_blocks: tuple[int, ...]
    """Indexes of the blocks whose region no text shows."""
    page_bits: int
    slots: tuple[SlotPlan, ...] = ()
    notes: tuple[str, ...] = ()
    """What was assumed because the recording does not say it, one sentence each."""
