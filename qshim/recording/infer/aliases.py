"""Rule 4: which `memory-region:` section each alias means.

QEMU queues an alias target when it first meets it and prints the sections in queue order. So at each
alias line the target is the next section, or one that is in the queue already; with one section per
name that decides everything.
"""

from __future__ import annotations

from itertools import takewhile

from qshim.recording.infer.nodes import Forest, Node, Root, contradiction, walk

__all__ = ["resolve_aliases"]


def resolve_aliases(forest: Forest, *, queue: bool = True) -> bool:
    """Set `target` of every alias node; whether the order of the sections was needed for it.

    Where several sections share a name, one is preferred whose type is the alias's, into which the
    alias fits, and whose owner is the same or a near one; on a tie the section that is not used yet.
    *queue* False leaves it at these preferences, as for texts whose sections are in no order that a
    queue could make; a note tells.

    :raises RecordingError: an alias without section.
    """
    by_name: dict[str, list[int]] = {}
    for index, section in enumerate(forest.sections):
        by_name.setdefault(section.name, []).append(index)
    lines = [node for root in (*forest.groups, *forest.sections) for node in walk(root.node) if node.alias is not None]
    for node in lines:
        assert node.alias is not None
        if node.alias.target not in by_name:
            contradiction(f"no section 'memory-region: {node.alias.target}' for this alias", node)
    if len(by_name) == len(forest.sections):
        for node in lines:
            node.target = forest.sections[by_name[node.alias.target][0]].node  # type: ignore[union-attr]
        return False
    replay = _Queue(forest, by_name, lines)
    states = replay.possible() if queue else None
    if states is None:
        forest.notes.append("equally named memory-region sections were told apart by owner, type and size")
    replay.run(states)
    return states is not None


class _Queue:
    """Replays the queue; the state behind each line is the number of sections queued so far."""

    def __init__(self, forest: Forest, by_name: dict[str, list[int]], lines: list[Node]) -> None:
        self.sections: list[Root] = forest.sections
        self.by_name = by_name
        self.lines = lines
        self.seen: list[bool] = []
        met: set[int] = set()
        for node in lines:
            self.seen.append(id(node) in met)
            met.add(id(node))

    def run(self, states: list[set[int]] | None) -> None:
        """Choose a target for each alias; *states* are the `possible` counts, None when they do not matter."""
        count = 0
        unused = set(range(len(self.sections)))
        for at, node in enumerate(self.lines):
            if node.target is not None:
                continue
            assert node.alias is not None
            options = self.by_name[node.alias.target]
            if states is not None:
                after = states[at + 1]
                old = [s for s in options if s < count] if count in after else []
                new = [count] if count in options and count + 1 in after else []
                options = old + new
            if len(options) == 1:
                best = options[0]
            else:
                best = max(options, key=lambda s, node=node: (*self.fit(node, s), s in unused))  # type: ignore[misc]
            unused.discard(best)
            node.target = self.sections[best].node
            if states is not None and best == count:
                count += 1

    def possible(self) -> list[set[int]] | None:
        """Per line the counts from which the end can be reached with all sections used; None: there are none."""
        forward: list[set[int]] = [{0}]
        for at in range(len(self.lines)):
            forward.append({after for count in forward[at] for after in self.steps(at, count)})
        if len(self.sections) not in forward[-1]:
            return None
        forward[-1] = {len(self.sections)}
        for at in range(len(self.lines) - 1, -1, -1):
            forward[at] = {c for c in forward[at] if any(after in forward[at + 1] for after in self.steps(at, c))}
        return forward if forward[0] else None

    def steps(self, at: int, count: int) -> tuple[int, ...]:
        alias = self.lines[at].alias
        assert alias is not None
        options = self.by_name[alias.target]
        old = (count,) if options[0] < count else ()
        # a region that was printed before queued its target then
        new = (count + 1,) if count in options and not self.seen[at] else ()
        return old + new

    def fit(self, node: Node, section: int) -> tuple[bool, bool, bool, int]:
        assert node.alias is not None
        target = self.sections[section].node
        fits = node.size == 0 or node.alias.start + node.size <= target.size
        return target.type == node.type, fits, target.owner == node.owner, _nearness(target, node)


def _nearness(one: Node, other: Node) -> int:
    """How many levels the owners' paths have in common."""
    if one.owner is None or other.owner is None:
        return 0
    pairs = zip(one.owner.value.split("/"), other.owner.value.split("/"), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
