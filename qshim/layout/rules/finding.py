"""One finding of a rule, and the limits that some rules measure against."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

__all__ = ["Finding", "Limits", "Seen"]


class Limits(NamedTuple):
    """What a project allows."""

    memslots: int = 509
    """Ranges of RAM that an accelerator may need: what the kernel gives a vhost-user or an old KVM guest."""
    address_bits: int = 52
    """Width of guest physical addresses."""


class Seen(NamedTuple):
    """What a rule saw, before it has a layout and a severity."""

    rule: str
    object: str
    """What it is about: a RAM block, a region, a device."""
    what: str
    """One sentence with both values."""
    before: str | None = None
    after: str | None = None
    names: tuple[str, ...] = ()
    """Further regions whose change this explains."""
    consequence: str | None = None
    """What will happen, where that can be said better than by the rule's own text."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a rule found in one layout."""

    rule: str
    severity: str
    """A key of `SEVERITIES`: the rule's own, or what the project made of it."""
    layout: str
    """The name of the layout."""
    object: str
    what: str
    consequence: str
    """What QEMU or the guest will do about it."""
    before: str | None = None
    after: str | None = None
    waived: str | None = None
    """The reason of the waiver that covers it."""

    @property
    def fingerprint(self) -> str:
        """12 hex digits that stay the same as long as the finding does, whatever else changes."""
        return sha256("\0".join((self.rule, self.layout, self.object, self.what)).encode()).hexdigest()[:12]
