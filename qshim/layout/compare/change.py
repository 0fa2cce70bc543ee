"""The kinds of changes, what a change says, and how things of two machines find each other."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TypeVar

__all__ = ["CHANGES", "Change", "matched"]

T = TypeVar("T")

CHANGES = {
    "space-added": "an address space that only the second machine has",
    "space-removed": "an address space that only the first machine has",
    "space-renamed": "an address space of the same root has another name",
    "space-root-changed": "an address space has another root region",
    "container-word": "regions without a parent print `container` instead of `i/o` (QEMU 11.1)",
    "region-added": "a region that only the second machine has, with what is below it",
    "region-removed": "a region that only the first machine has, with what is below it",
    "region-moved": "another offset in its container",
    "region-resized": "another size",
    "region-renamed": "another name at the same place",
    "region-type-changed": "ram, rom, romd, ramd or i/o became another",
    "region-priority-changed": "another priority among its siblings",
    "region-enabled-changed": "switched on or off",
    "region-nonvolatile-changed": "became or ceased to be non-volatile",
    "region-owner-changed": "another owner or parent object",
    "owner-renumbered": "the same owner, but QEMU numbers it otherwise: device[N] counts in the order of making",
    "region-order-changed": "siblings of equal address and priority stand in another order: another one wins",
    "alias-target-changed": "an alias shows another region",
    "alias-offset-changed": "an alias shows another part of its region",
    "view-root-changed": "an address space renders another region",
    "view-sharing-changed": "address spaces that shared a view no longer do, or the other way round",
    "range-added": "something is visible where nothing was",
    "range-removed": "nothing is visible where something was",
    "range-changed": "another region, offset or kind of access is visible",
    "range-split": "the same is visible, in other pieces",
    "dispatch-changed": "equal ranges, but another dispatch",
    "accelerator-changed": "other ranges have a memory slot of an accelerator",
    "block-added": "a RAM block that only the second machine has",
    "block-removed": "a RAM block that only the first machine has",
    "block-renamed": "a RAM block of the same place and lengths has another name",
    "block-offset-changed": "another ram_addr_t",
    "block-used-length-changed": "another used length",
    "block-max-length-changed": "another maximum length",
    "block-page-size-changed": "another page size",
    "block-readonly-changed": "read-only to the guest, or no longer",
    "block-order-changed": "RAM blocks of equal maximum stand in another order",
    "reply-changed": "a monitor command was answered differently",
    "host-columns": "`info ramblock` has HVA and RO columns (QEMU 10.0)",
}
"""Kind of change -> what it says."""


@dataclass(frozen=True, slots=True)
class Change:
    """One difference."""

    kind: str
    """A key of `CHANGES`."""
    place: str
    """Where: the address space and the names on the way, or the RAM block."""
    what: str
    """One sentence with both values."""
    left: str | None
    """The line of the first machine; None where it has none."""
    right: str | None


def matched(
    left: Sequence[T], right: Sequence[T], *keys: Callable[[T], Hashable]
) -> tuple[list[tuple[T, T]], list[T], list[T]]:
    """Pairs with equal keys, the first key first; among several equal ones in order. And what is left over."""
    pairs: list[tuple[T, T]] = []
    rest_left, rest_right = list(left), list(right)
    for key in keys:
        waiting: dict[Hashable, list[T]] = {}
        for thing in rest_right:
            waiting.setdefault(key(thing), []).append(thing)
        unpaired, taken = [], set()
        for thing in rest_left:
            candidates = waiting.get(key(thing))
            if candidates:
                twin = candidates.pop(0)
                pairs.append((thing, twin))
                taken.add(id(twin))
            else:
                unpaired.append(thing)
        rest_left, rest_right = unpaired, [thing for thing in rest_right if id(thing) not in taken]
    return pairs, rest_left, rest_right
