"""Rules 7, 8 and 10: which regions terminate, and the list order of equally prioritised siblings.

Whatever is painted first wins. So a region of a view wins where a range is its own, and a region that
would have been painted before the winner does not terminate; where two terminating regions meet and
only the order of two siblings decides, the range tells that order.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

from qshim.recording.infer.nodes import Node, contradiction
from qshim.recording.infer.sight import AFTER, BEFORE, Instance, Piece, standing

__all__ = ["SiblingOrder", "settle_terminates", "winner_of"]


def settle_terminates(pieces: list[Piece]) -> None:
    """Set `terminates` wherever the views decide it.

    :raises RecordingError: a range that no region explains; a hole, or a later region, where a
        terminating region is.
    """
    _holes(pieces)
    shown = [piece for piece in pieces if piece.shown is not None]
    undecided = shown
    while undecided:
        changed = True
        while changed:
            changed = False
            rest = []
            for piece in undecided:
                fitting = _fitting(piece)
                if all(one.node is fitting[0].node for one in fitting):
                    changed |= fitting[0].node.terminates is None
                    fitting[0].node.terminates = True
                else:
                    rest.append(piece)
            undecided = rest
            left = {id(piece) for piece in undecided}
            changed |= _losers([piece for piece in shown if id(piece) not in left])
        if undecided:
            # equally named regions explain the same range: the first one painted would have won
            _fitting(undecided[0])[0].node.terminates = True
            first = undecided.pop(0)
            for one in _fitting(first)[1:]:
                if one.node.terminates is None and standing(one, _fitting(first)[0]) == BEFORE:
                    one.node.terminates = False


def _fitting(piece: Piece) -> list[Instance]:
    fitting = [one for one in piece.explained_by if one.node.terminates is not False]
    if not fitting:
        assert piece.shown is not None
        there = [one.node for one in piece.instances if one.node.name == piece.shown.name][:1]
        contradiction("no region explains this range", piece.shown, *there)
    return fitting


def _holes(pieces: Iterable[Piece]) -> None:
    for piece in pieces:
        if piece.shown is None:
            for one in piece.instances:
                if one.node.terminates is True:
                    contradiction(f"nothing is shown at {piece.start:#x}, though this region is there", one.node)
                one.node.terminates = False


def _losers(pieces: Iterable[Piece]) -> bool:
    """Whoever is painted before the winner does not terminate; whether that taught anything."""
    changed = False
    for piece in pieces:
        winners = _fitting(piece)
        for one in piece.instances:
            if one.node.terminates is None and all(standing(one, winner) == BEFORE for winner in winners):
                one.node.terminates = False
                changed = True
    return changed


def winner_of(piece: Piece) -> Instance:
    """The instance that *piece* shows, once list orders are settled."""
    fitting = _fitting(piece)
    return fitting[0] if len(fitting) == 1 else min(fitting, key=_paint_key)


def _paint_key(one: Instance) -> tuple[int, ...]:
    ranks = [container.children.index(node) if node.container is container else 0
             for container, node in zip(one.path, one.path[1:], strict=False)]  # fmt: skip
    return (*ranks, 1 << 30)


@dataclass(slots=True)
class SiblingOrder:
    """What is known about the order of siblings of equal priority, and the sorting of them."""

    before: dict[int, dict[int, Node]]
    """By the later sibling: the siblings that come before it."""
    containers: dict[int, Node]

    @classmethod
    def empty(cls) -> SiblingOrder:
        return cls({}, {})

    def learn(self, pieces: Iterable[Piece]) -> None:
        """Rule 8: take the order from every place where one terminating region is in front of another.

        :raises RecordingError: a region that must be in front of what is shown.
        """
        done: set[tuple[int, int]] = set()
        for piece in pieces:
            if piece.shown is None:
                continue
            winners = _fitting(piece)
            for one in piece.instances:
                if one.node.terminates is not True or one in winners:
                    continue
                if len(winners) == 1:
                    if (id(one), id(winners[0])) in done:
                        continue
                    done.add((id(one), id(winners[0])))
                ties = self.ties(one, winners)
                if ties is None:
                    contradiction("this region should be in front of the range", one.node, piece.shown)
                if ties:
                    self.add(ties[0][1], ties[0][0])

    def ties(self, loser: Instance, winners: list[Instance]) -> list[tuple[Node, Node]] | None:
        """The sibling pairs (loser's, winner's) one of which must be in order; None: *loser* must win."""
        ties: list[tuple[Node, Node]] = []
        for winner in winners:
            stands = standing(loser, winner)
            if stands == AFTER:
                return []
            if isinstance(stands, tuple):
                ties.append(stands)
        known = [(mine, its) for mine, its in ties if self.reaches(its, mine)]
        if known:
            return []
        return [(mine, its) for mine, its in ties if not self.reaches(mine, its)] or (ties or None)

    def reaches(self, first: Node, second: Node) -> bool:
        """Whether *first* is known to come before *second*."""
        stack, seen = [second], {id(second)}
        while stack:
            for node in self.before.get(id(stack.pop()), {}).values():
                if node is first:
                    return True
                if id(node) not in seen:
                    seen.add(id(node))
                    stack.append(node)
        return False

    def add(self, first: Node, second: Node) -> None:
        self.before.setdefault(id(second), {})[id(first)] = first
        container = second.container
        assert container is not None
        self.containers[id(container)] = container

    def default_terminates(self, nodes: Iterable[Node], pieces: Iterable[Piece]) -> int:
        """Rule 10: what no view decides: leaves terminate, containers do not; how many that were.

        A leaf that is behind something by sibling order alone teaches that order; a leaf for which no
        order would do does not terminate.
        """
        open_nodes = [node for node in nodes if node.terminates is None]
        meets: dict[int, list[tuple[Instance, Piece]]] = {}
        for piece in pieces:
            if piece.shown is not None:
                for one in piece.instances:
                    if one.node.terminates is None:
                        meets.setdefault(id(one.node), []).append((one, piece))
        for node in open_nodes:
            node.terminates = not node.display
            if not node.terminates:
                continue
            for one, piece in meets.get(id(node), ()):
                ties = self.ties(one, _fitting(piece))
                if ties is None or (ties and self.reaches(*ties[0])):
                    node.terminates = False
                    break
                if ties:
                    self.add(ties[0][1], ties[0][0])
        return len(open_nodes)

    def apply(self) -> None:
        """Put the children of every container in list order.

        :raises RecordingError: the known orders form a cycle.
        """
        for container in self.containers.values():
            container.children = self.sorted(container)

    def sorted(self, container: Node) -> list[Node]:
        after: dict[int, list[Node]] = {}
        open_count: dict[int, int] = {}
        latest: dict[tuple[int, int], Node] = {}
        for node in container.display:
            first = dict(self.before.get(id(node), {}))
            same_place = latest.get((node.addr, node.priority))
            if same_place is not None:  # printed one behind the other: that is their list order
                first[id(same_place)] = same_place
            latest[node.addr, node.priority] = node
            open_count[id(node)] = len(first)
            for other in first.values():
                after.setdefault(id(other), []).append(node)
        ready = [(-node.priority, node.place) for node in container.display if not open_count[id(node)]]
        heapify(ready)
        result: list[Node] = []
        while ready:
            node = container.display[heappop(ready)[1]]
            result.append(node)
            for other in after.get(id(node), ()):
                open_count[id(other)] -= 1
                if not open_count[id(other)]:
                    heappush(ready, (-other.priority, other.place))
        if len(result) < len(container.display):
            stuck = [node for node in container.display if open_count[id(node)]]
            contradiction(f"each of these would have to be in front of the other in '{container.name}'", *stuck[:2])
        return sorted(result, key=lambda node: -node.priority)
