"""What an IOMMU region answers when an address is translated (spec/memory.md 7.1, 7.4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qshim.memory.addrspace import AddressSpace

__all__ = ["IommuEntry", "Translate"]


@dataclass(frozen=True, slots=True)
class IommuEntry:
    """One translation: *mask* + 1 bytes (a power of two) around the asked address go to *translated*."""

    space: AddressSpace
    translated: int
    mask: int
    readable: bool = True
    writable: bool = True


Translate = Callable[[int, bool], IommuEntry]
"""(offset in the IOMMU region, is_write) -> entry."""
