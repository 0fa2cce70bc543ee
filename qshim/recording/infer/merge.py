"""Rule 3: one region that is printed several times becomes one node.

QEMU prints a region wherever it is mapped, again as the root of an address space, and again as a
`memory-region:` section. Two printed trees are one region when name, own address, size, priority,
type, flags, owner and everything below print the same.
"""

from __future__ import annotations

from qshim.recording.infer.nodes import Forest, Node, Root, walk

__all__ = ["merge"]


def merge(forest: Forest) -> None:
    """Let the roots of *forest* that are the same region as another printed one share its node.

    Larger trees come first, so that a root finds the tree in which it is nested complete. A region is
    the root of at most one group (equal roots would have been one group) and of one section.
    """
    _number_shapes(forest)
    nested: dict[int, list[Node]] = {}
    group_roots: dict[int, list[Node]] = {}
    rooted: set[tuple[bool, int]] = set()
    order: list[tuple[bool, Root]] = [(False, root) for root in forest.groups]
    order += [(True, root) for root in forest.sections]
    order.sort(key=lambda entry: -entry[1].count)
    for is_section, root in order:
        places = group_roots.get(root.node.shape, []) if is_section else []
        for node in (*places, *nested.get(root.node.shape, [])):
            if (is_section, id(node)) not in rooted:
                root.node = node
                break
        else:
            for node in walk(root.node):
                if node.container is not None:
                    nested.setdefault(node.shape, []).append(node)
        rooted.add((is_section, id(root.node)))
        if not is_section:
            group_roots.setdefault(root.node.shape, []).append(root.node)


def _number_shapes(forest: Forest) -> None:
    numbers: dict[tuple[object, ...], int] = {}
    for root in (*forest.groups, *forest.sections):
        for node in reversed(tuple(walk(root.node))):  # children before their container
            row = node.row
            key = (
                row.name, node.addr, node.size, row.priority, row.type, row.nonvolatile, row.disabled, row.alias,
                row.owner, row.parent, tuple([child.shape for child in node.display]),
            )  # fmt: skip
            node.shape = numbers.setdefault(key, len(numbers))
