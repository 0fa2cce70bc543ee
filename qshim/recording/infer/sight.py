"""Rule 6: every place where a region could show in a view, and how the ranges of the view cut them.

An `Instance` is one way from the view's root to a region: the region could be seen in [low, high) if
nothing stood in front of it. A `Piece` is a stretch of addresses in which neither the range shown nor
the set of instances changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush

from qshim.errors import RecordingError
from qshim.recording.infer.nodes import Node, contradiction
from qshim.rows import FlatViewRow, RangeRow
from qshim.units import SPACE, U64_MAX

__all__ = ["AFTER", "BEFORE", "Instance", "Piece", "explains", "instances_of", "pieces_of", "standing"]

_TOO_MANY = 400_000
"""Instances of one view; real machines have some thousands."""
_TOO_DEEP = 250
"""Steps from a root to a region. An alias may show a part of what contains it (Arm SSE boards), but not itself."""


class Instance:
    """*node* at *base*, visible at most in [low, high), reached along *path* (which ends with the node)."""

    __slots__ = ("base", "high", "low", "node", "path", "turn")

    def __init__(self, node: Node, base: int, low: int, high: int, path: tuple[Node, ...], turn: int) -> None:
        self.node = node
        self.base = base
        self.low = low
        self.high = high
        self.path = path
        self.turn = turn
        """Place in the order of painting: the first one wins."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch seen as *shown* (None: a hole), with the *instances* there and those that explain it."""

    start: int
    shown: RangeRow | None
    instances: tuple[Instance, ...]
    explained_by: tuple[Instance, ...]


def instances_of(root: Node) -> list[Instance]:
    """All instances below *root* in order of painting (spec/memory.md 2.2 without occlusion).

    :raises RecordingError: more than any machine has: the aliases were put together wrongly.
    """
    found: list[Instance] = []

    def visit(node: Node, base: int, low: int, high: int, path: tuple[Node, ...]) -> None:
        if not node.enabled:
            return
        base += node.addr
        if base > low:
            low = base
        if base + node.size < high:
            high = base + node.size
        if low >= high:
            return
        path = (*path, node)
        if len(path) > _TOO_DEEP:
            contradiction("an alias shows itself without end", *(n for n in path[-8:] if n.alias is not None))
        if node.target is not None:
            assert node.alias is not None
            visit(node.target, base - node.target.addr - node.alias.start, low, high, path)
            return
        for child in node.children:
            visit(child, base, low, high, path)
        if len(found) > _TOO_MANY:
            raise RecordingError(
                f"'{root.name}' shows more than {_TOO_MANY} regions; do the texts have owners (-o)? Without them "
                "equally named regions cannot be told apart"
            )
        found.append(Instance(node, base, low, high, path, len(found)))

    visit(root, 0, 0, SPACE, ())
    return found


def explains(instance: Instance, shown: RangeRow, owners: bool) -> bool:
    """Whether *shown* could be a range of *instance*."""
    node = instance.node
    return (
        node.name == shown.name
        and node.priority == shown.priority
        and not (instance.base + shown.offset - shown.start) & U64_MAX
        and (node.type == shown.type or shown.type == "rom")
        and node.terminates is not False
        and (not owners or (node.owner == shown.owner and node.parent == shown.parent))
    )


def pieces_of(view: FlatViewRow, instances: list[Instance], owners: bool) -> list[Piece]:
    """The pieces of *view*, ascending; an unexplained range gives pieces with no `explained_by`.

    :raises RecordingError: the view's ranges overlap or are not in order.
    """
    edges = {edge for instance in instances for edge in (instance.low, instance.high)}
    end = 0
    for row in view.ranges:
        if row.start < end:
            contradiction("a flat range that starts before the one in front of it ends", row)
        end = row.last + 1
        edges.update((row.start, end))
    bounds = sorted(edges)
    waiting = sorted(instances, key=lambda instance: -instance.low)
    active: list[tuple[int, int, Instance]] = []
    ranges = iter(view.ranges)
    current: RangeRow | None = next(ranges, None)
    shown: RangeRow | None
    pieces: list[Piece] = []
    for low in bounds[:-1]:
        while waiting and waiting[-1].low <= low:
            instance = waiting.pop()
            heappush(active, (instance.high, instance.turn, instance))
        while active and active[0][0] <= low:
            heappop(active)
        while current is not None and current.last < low:
            current = next(ranges, None)
        shown = current if current is not None and current.start <= low else None
        if not active and shown is None:
            continue
        here = tuple(sorted((entry[2] for entry in active), key=_turn))
        if pieces and pieces[-1].shown is shown and pieces[-1].instances == here:
            continue
        fitting = () if shown is None else tuple([i for i in here if explains(i, shown, owners)])
        pieces.append(Piece(low, shown, here, fitting))
    return pieces


def _turn(instance: Instance) -> int:
    return instance.turn


BEFORE, AFTER = "before", "after"


def standing(one: Instance, other: Instance) -> str | tuple[Node, Node]:
    """Whether *one* is painted `BEFORE` or `AFTER` *other*, or the two siblings whose order decides it.

    The siblings are the first of *one*'s path and of *other*'s path below their lowest common
    container: equal in priority, different in address, so that no text shows their order.
    """
    for mine, its in zip(one.path, other.path, strict=False):
        if mine is not its:
            if mine.priority != its.priority:
                return BEFORE if mine.priority > its.priority else AFTER
            if mine.addr == its.addr:
                return BEFORE if mine.place < its.place else AFTER
            return mine, its
    return AFTER if len(one.path) < len(other.path) else BEFORE
