"""Changes of `info ramblock`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from qshim.layout.compare.change import Change, matched
from qshim.rows import BlockRow
from qshim.units import hex_plain
from qshim.views.ramblock import block_line

__all__ = ["block_changes"]


def block_changes(left: Sequence[BlockRow], right: Sequence[BlockRow]) -> Iterator[Change]:
    """Changes of the RAM blocks, which are matched by name, else by place and lengths."""
    pairs, gone, come = matched(
        left,
        right,
        lambda b: b.name or (b.offset, b.used_length, b.max_length),
        lambda b: (b.offset, b.used_length, b.max_length),
        lambda b: b.name or (b.used_length, b.max_length),
    )
    for a, b in pairs:
        yield from _block(a, b)
    for kind, verb, blocks in (("block-removed", "went", gone), ("block-added", "is new", come)):
        for block in blocks:
            sides = (block_line(block), None) if kind == "block-removed" else (None, block_line(block))
            yield Change(kind, block.name, f"RAM block '{block.name}' {verb}", *sides)
    kept_left = [a for a in left if any(a is pair[0] for pair in pairs)]
    kept_right = [next(a for a, b in pairs if b is block) for block in right if any(block is p[1] for p in pairs)]
    moved = [(a, b) for a, b in zip(kept_left, kept_right, strict=True) if a is not b]
    if moved and not any(a.max_length != b.max_length for a, b in pairs):
        a, b = moved[0]
        what = f"RAM block '{b.name}' comes before '{a.name}' now, of equal maximum length"
        yield Change("block-order-changed", b.name, what, block_line(a), block_line(b))
    shows = [any(b.host is not None for b in rows) for rows in (left, right)]
    if left and right and shows[0] != shows[1]:
        what = f"`info ramblock` of the {'second' if shows[1] else 'first'} machine alone has the columns HVA and RO"
        yield Change("host-columns", "info ramblock", what, None, None)


def _block(a: BlockRow, b: BlockRow) -> Iterator[Change]:
    name = f"RAM block '{a.name}'"
    facts = (
        ("block-offset-changed", "offset", a.offset, b.offset),
        ("block-used-length-changed", "used length", a.used_length, b.used_length),
        ("block-max-length-changed", "maximum length", a.max_length, b.max_length),
        ("block-page-size-changed", "page size", a.page_size, b.page_size),
    )
    for kind, word, old, new in facts:
        if old != new:
            what = f"{name} has the {word} {hex_plain(new)} instead of {hex_plain(old)}"
            yield Change(kind, a.name, what, block_line(a), block_line(b))
    if a.name != b.name:
        yield Change("block-renamed", a.name, f"{name} is called '{b.name}'", block_line(a), block_line(b))
    if a.readonly is not None and b.readonly is not None and a.readonly != b.readonly:
        words = ("writable", "read-only")
        what = f"{name} is {words[b.readonly]} instead of {words[a.readonly]}"
        yield Change("block-readonly-changed", a.name, what, block_line(a), block_line(b))
