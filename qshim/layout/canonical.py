"""What of two QEMU processes of one machine cannot be compared word for word (spec/memory.md 6.9).

One function for each such thing, and `CANNOT_COMPARE`, the list with the reasons. Everything else in
a monitor text must be byte-identical.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

__all__ = [
    "CANNOT_COMPARE", "Allowance", "canonical", "sorted_groups", "sorted_sections", "sorted_views",
    "without_host_addresses", "without_kvm", "without_mru",
]  # fmt: skip

_SPACE, _SECTION, _VIEW = "address-space: ", "memory-region: ", "FlatView #"
_HOST = re.compile(r" 0x[0-9a-f]{16}( +r[ow])$")
_NUMBER = re.compile(r"^FlatView #\d+$")
_RANGE = re.compile(r"^  [0-9a-f]{16}-[0-9a-f]{16} \(prio ")


@dataclass(frozen=True, slots=True)
class Allowance:
    """One thing that may differ, and why nobody can make it equal."""

    name: str
    reason: str
    apply: Callable[[Sequence[str]], list[str]]


def _blocks(lines: Sequence[str]) -> list[list[str]]:
    """Groups, sections and views of a text: each ends with an empty line."""
    blocks: list[list[str]] = [[]]
    for line in lines:
        blocks[-1].append(line)
        if not line:
            blocks.append([])
    if not blocks[-1]:
        blocks.pop()
    return blocks


def sorted_groups(lines: Sequence[str]) -> list[str]:
    """`address-space:` groups in the order of their text, in front of everything else."""
    return _sorted(lines, _SPACE)


def sorted_sections(lines: Sequence[str]) -> list[str]:
    """`memory-region:` sections in the order of their text."""
    return _sorted(lines, _SECTION)


def sorted_views(lines: Sequence[str]) -> list[str]:
    """Flat views without their number, in the order of their text."""
    return _sorted(["FlatView" if _NUMBER.match(line) else line for line in lines], "FlatView")


def _sorted(lines: Sequence[str], start: str) -> list[str]:
    blocks = _blocks(lines)
    mine = sorted(block for block in blocks if block[0].startswith(start))
    first = next((at for at, block in enumerate(blocks) if block[0].startswith(start)), 0)
    rest = [block for block in blocks if not block[0].startswith(start)]
    return [line for block in (*rest[:first], *mine, *rest[first:]) for line in block]


def without_mru(lines: Sequence[str]) -> list[str]:
    """Sections of a dispatch without the ` [MRU]` mark."""
    return [line.replace(" [MRU]", "") if line.startswith("      #") else line for line in lines]


def without_host_addresses(lines: Sequence[str]) -> list[str]:
    """`info ramblock` with every HVA as 0."""
    return [_HOST.sub(rf" 0x{0:016x}\1", line) for line in lines]


def without_kvm(lines: Sequence[str]) -> list[str]:
    """Ranges without ` KVM`; only for texts of a machine that is known to run on KVM."""
    result = []
    for line in lines:
        while _RANGE.match(line) and line.endswith(" KVM"):
            line = line[: -len(" KVM")]
        result.append(line)
    return result


CANNOT_COMPARE = (
    Allowance("group order", "groups are printed in the order of a hash of host pointers", sorted_groups),
    Allowance(
        "section order", "sections follow the groups: each stands where an alias first names it", sorted_sections
    ),
    Allowance("view order and numbers", "views are printed in the order of a hash of host pointers", sorted_views),
    Allowance("MRU mark", "it shows the last lookup of a CPU, of DMA or of a monitor", without_mru),
    Allowance("host addresses", "the host places mappings at random (ASLR)", without_host_addresses),
)
"""What `canonical` takes away. ` KVM` marks go only where the other side has no KVM: `without_kvm`."""


def canonical(text: str | Sequence[str]) -> list[str]:
    """The lines of *text* (without line ends) after every allowance: equal lists mean equal machines."""
    lines: Sequence[str] = text.replace("\r\n", "\n").removesuffix("\n").split("\n") if isinstance(text, str) else text
    for allowance in CANNOT_COMPARE:
        lines = allowance.apply(lines)
    return list(lines)
