"""Rule 5: which flat view each address space has, and which region is drawn there as its root.

Before drawing, QEMU replaces a root that shows nothing but one other region by that region
(spec/memory.md 2.1). Whether it does depends on `terminates`, which the text does not tell; so there
are one or two possible outcomes for each root, and the views say which one is true.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from qshim.recording.infer.nodes import Forest, Node, Root, contradiction
from qshim.recording.infer.sight import instances_of, pieces_of
from qshim.rows import FlatRow, FlatViewRow
from qshim.units import SPACE

__all__ = ["Scene", "assign_views", "registration_order"]


@dataclass(slots=True)
class Scene:
    """A view of the recording, the region drawn as its root (None: nothing is drawn), and whose it is."""

    view: FlatViewRow
    node: Node | None = None
    roots: list[Root] = field(default_factory=list)
    taken: bool = False


@dataclass(frozen=True, slots=True)
class _Outcome:
    scene: int
    node: Node | None
    assumed: tuple[tuple[Node, bool], ...]


def assign_views(forest: Forest, flat: FlatRow) -> list[Scene]:
    """The views of *flat* with the roots of *forest* that have them; sets `terminates` where that decides it.

    :raises RecordingError: an address space fits no view, or a view belongs to nobody.
    """
    return _Assignment(forest, flat).run()


class _Assignment:
    def __init__(self, forest: Forest, flat: FlatRow) -> None:
        self.owners = forest.owners and flat.owners
        self.scenes = [Scene(view) for view in flat.views]
        self.left = [Counter((space.name, space.root) for space in view.spaces) for view in flat.views]
        self.holders: dict[tuple[str, str], set[int]] = {}
        for index, left in enumerate(self.left):
            for key in left:
                self.holders.setdefault(key, set()).add(index)
        self.waiting = list(forest.groups)
        self.drawn: dict[int, int] = {}
        """Which scene has a region as its root."""
        self.sights: dict[int, frozenset[object]] = {}
        self.shown: list[frozenset[object]] = [
            frozenset(self.mark(r.name, r.owner) for r in view.ranges) for view in flat.views
        ]

    def mark(self, name: str, owner: object) -> object:
        return (name, owner) if self.owners else name

    def run(self) -> list[Scene]:
        while self.waiting:
            narrowest: tuple[Root, list[_Outcome]] | None = None
            rest = []
            for root in self.waiting:
                outcomes = self.outcomes(root)
                if not outcomes:
                    contradiction(f"no flat view fits the address space '{root.name}'", root.node)
                if len(outcomes) == 1:
                    self.settle(root, outcomes[0])
                else:
                    rest.append(root)
                    if narrowest is None or len(outcomes) < len(narrowest[1]):
                        narrowest = root, outcomes
            if narrowest is not None and len(rest) == len(self.waiting):
                root, outcomes = narrowest
                self.settle(root, min(outcomes, key=self.unexplained))
                rest = [other for other in rest if other is not root]
            self.waiting = rest
        for scene, left in zip(self.scenes, self.left, strict=True):
            if +left:
                name, root_name = next(iter(+left))
                contradiction(
                    f"'info mtree' has no address space '{name}' with the root '{root_name}'", *scene.view.ranges[:1]
                )
        return self.scenes

    def outcomes(self, root: Root) -> list[_Outcome]:
        """The views that *root* could have, as far as names, addresses and what is drawn tell."""
        wanted = Counter(root.spaces)
        views: set[int] | None = None
        for name in wanted:
            having = self.holders.get((name, root.node.name), set())
            views = having if views is None else views & having
        found = []
        for node, assumed in _resolutions(root.node):
            for index in sorted(views or ()):
                scene, left = self.scenes[index], self.left[index]
                if any(left[name, root.node.name] < count for name, count in wanted.items()):
                    continue
                if self.fits(scene, index, node, assumed):
                    found.append(_Outcome(index, node, assumed))
        return found

    def fits(self, scene: Scene, index: int, node: Node | None, assumed: tuple[tuple[Node, bool], ...]) -> bool:
        view = scene.view
        if scene.taken:
            return scene.node is node
        if node is None:
            return view.root is None and not view.ranges
        if view.root != node.name or id(node) in self.drawn:
            return False
        if not view.ranges:
            return (node, True) not in assumed and node.terminates is not True
        low, high = node.addr, min(node.addr + node.size, SPACE)
        if view.ranges[0].start < low or view.ranges[-1].last >= high:
            return False
        return self.shown[index] <= self.sight(node)

    def sight(self, node: Node) -> frozenset[object]:
        """What could show below *node*: names, with owners where the texts have them."""
        known = self.sights.get(id(node))
        if known is None:
            seen: set[int] = set()
            marks: set[object] = set()
            stack = [node]
            while stack:
                here = stack.pop()
                if id(here) in seen or not here.enabled:
                    continue
                seen.add(id(here))
                if here.target is not None:
                    stack.append(here.target)
                else:
                    marks.add(self.mark(here.name, here.owner))
                    stack.extend(here.display)
            known = self.sights[id(node)] = frozenset(marks)
        return known

    def unexplained(self, outcome: _Outcome) -> int:
        if outcome.node is None:
            return 0
        view = self.scenes[outcome.scene].view
        pieces = pieces_of(view, instances_of(outcome.node), self.owners)
        return sum(piece.shown is not None and not piece.explained_by for piece in pieces)

    def settle(self, root: Root, outcome: _Outcome) -> None:
        scene = self.scenes[outcome.scene]
        scene.node, scene.taken = outcome.node, True
        scene.roots.append(root)
        self.left[outcome.scene].subtract((name, root.node.name) for name in root.spaces)
        if outcome.node is not None:
            self.drawn[id(outcome.node)] = outcome.scene
        for node, terminates in outcome.assumed:
            node.terminates = terminates


def _resolutions(node: Node) -> Iterator[tuple[Node | None, tuple[tuple[Node, bool], ...]]]:
    """The regions that QEMU could draw for the root *node*, with what that says about `terminates`."""
    assumed: list[tuple[Node, bool]] = []
    passed: set[int] = set()
    while True:
        if id(node) in passed:
            contradiction("an alias shows itself without end", node)
        passed.add(id(node))
        if not node.enabled:
            yield None, tuple(assumed)
            return
        follow: Node | None
        if node.target is not None:
            assert node.alias is not None
            if node.alias.start or node.size < node.target.size:
                yield node, tuple(assumed)
                return
            follow = node.target
        else:
            enabled = [child for child in node.display if child.enabled]
            follow = enabled[0] if enabled else None
            stays = len(enabled) > 1 or (follow is not None and (follow.addr != 0 or node.size < follow.size))
            if stays or node.terminates is True:
                yield node, tuple(assumed)
                return
            if node.terminates is None:
                yield node, (*assumed, (node, True))
                assumed.append((node, False))
        if follow is None:
            yield None, tuple(assumed)
            return
        node = follow


def registration_order(scenes: list[Scene]) -> list[tuple[str, Node]]:
    """The address spaces in an order of registration that gives every view its recorded order.

    Only the order inside a view is visible; `memory` and `I/O` are the first two of every QEMU.
    """
    spaces: list[tuple[str, Node]] = []
    for scene in scenes:
        holders: dict[tuple[str, str], list[Node]] = {}
        for root in scene.roots:
            for name in root.spaces:
                holders.setdefault((name, root.node.name), []).append(root.node)
        for row in scene.view.spaces:
            spaces.append((row.name, holders[row.name, row.root].pop(0)))
    first = {"memory": 0, "I/O": 1}
    names = [name for name, _ in spaces]
    if names.count("memory") == 1 and names.count("I/O") == 1:
        spaces.sort(key=lambda space: first.get(space[0], 2))
    return spaces
