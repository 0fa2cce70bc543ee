"""Rule 12: the page size, from one dispatch of the recording (spec/memory.md 4.2, 4.3)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from qshim.recording.format import Recording
from qshim.recording.parse.lines import Lines
from qshim.rows import DispatchRow

__all__ = ["default_page_bits", "page_bits_of"]

_SUBPAGE = re.compile(r"      #[1-9]\d* @([0-9a-f]{16})\.\.([0-9a-f]{16}) \(noname\)")


def page_bits_of(lines: Sequence[str], name: str) -> int | None:
    """Page bits of the machine whose `info mtree -f -d` has these *lines*; None when nothing is mapped.

    A sub-page section is one page long. Without one the smallest dispatch is counted: a section's
    size divided by the number of pages that point to it.

    :raises RecordingError: the dispatch that is read is no dispatch.
    """
    for line in lines:
        match = _SUBPAGE.match(line)
        if match is not None:
            bits = _power(int(match[2], 16) - int(match[1], 16) + 1)
            if bits is not None:
                return bits
    from qshim.recording.parse.dispatch import parse_dispatch  # few recordings need it

    parts = [at + 1 for at, line in enumerate(lines) if line == "  Dispatch"]
    ends = [next(end for end in range(at, len(lines) + 1) if end == len(lines) or not lines[end]) for at in parts]
    best: int | None = None
    for _, at in sorted((end - at, at) for at, end in zip(parts, ends, strict=True)):
        reader = Lines(name, lines)
        reader.at = at
        bits, exact = _from_dispatch(parse_dispatch(reader))
        if exact:
            return bits
        if bits is not None:
            best = max(bits, best or 0)
    return best


def _from_dispatch(row: DispatchRow) -> tuple[int | None, bool]:
    """Page bits by the counted pages, and whether that is exact.

    A node with one entry is passed over, and a section that stood there alone seems to fill all of it
    (memory.md 4.3): too many pages, so too small a page. The lowest level is never passed over.
    """
    pages: dict[int, int] = {}
    coarse: set[int] = set()
    stack = [(row.ptr, row.levels - row.skip)]
    while stack:
        node, level = stack.pop()
        if not 0 <= node < len(row.nodes) or not 0 <= level < row.levels:
            continue
        for entry in row.nodes[node]:
            if entry.ptr is None:
                continue
            if entry.skip:
                stack.extend([(entry.ptr, level - entry.skip)] * (entry.last - entry.first + 1))
                continue
            pages[entry.ptr] = pages.get(entry.ptr, 0) + ((entry.last - entry.first + 1) << 9 * level)
            if level:
                coarse.add(entry.ptr)
    best: int | None = None
    for index, section in enumerate(row.sections):
        count = pages.get(index)
        if index and count:
            size, odd = divmod(section.last - section.start + 1, count)
            bits = None if odd else _power(size)
            if bits is not None and index not in coarse:
                return bits, True
            if bits is not None:
                best = max(bits, best or 0)
    return best, False


def _power(size: int) -> int | None:
    return size.bit_length() - 1 if size > 0 and not size & (size - 1) else None


_BITS = {"alpha": 13, "sparc64": 13, "or1k": 13, "cris": 13, "tricore": 14}
_ARM = frozenset(("arm", "aarch64"))
_ARM_BOARDS = re.compile(r"(virt|sbsa-ref|vmapple)(-|$)")
"""Boards that declare a minimum, so that pages are larger than the smallest that any Arm core has."""


def default_page_bits(recording: Recording) -> int:
    """Page bits of the recording's target and machine by spec/memory.md 4.1; 12 where they are unknown."""
    target, machine, qemu = recording.target, recording.machine or "", recording.qemu
    if target in _ARM and machine:
        return 12 if _ARM_BOARDS.match(machine) and machine not in ("virt-2.6", "virt-2.7") else 10
    if target == "avr":
        return 8 if (qemu.major, qemu.minor) < (10, 2) else 10
    if target == "loongarch64":
        return 14 if qemu.major < 10 else 12
    return _BITS.get(target or "", 12)
