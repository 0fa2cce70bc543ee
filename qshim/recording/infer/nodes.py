"""The regions of an `info mtree` as nodes that the rules of inference fill in (spec/recordings.md 3)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NoReturn

from qshim.errors import RecordingError
from qshim.rows import AliasRow, OwnerRow, RangeRow, RegionRow, TreeRow
from qshim.units import SPACE, U64_MAX, span

__all__ = ["Forest", "Node", "Root", "contradiction", "forest_of", "range_line", "region_line", "walk"]

TREE, FLAT = "info mtree", "info mtree -f"
MEMORY_TYPES = frozenset(("ram", "rom", "romd", "ramd"))


class Node:
    """One memory region; what the tree text does not say is None until a rule finds it."""

    __slots__ = (
        "addr", "alias", "block", "children", "command_mode", "container", "display", "enabled", "index", "iommu",
        "name", "nonvolatile", "owner", "parent", "place", "priority", "readonly", "row", "shape", "size", "target",
        "terminates", "type",
    )  # fmt: skip

    def __init__(self, row: RegionRow, base: int) -> None:
        self.row = row
        self.name = row.name
        self.addr = (row.start - base) & U64_MAX
        self.size = ((row.last - row.start) & U64_MAX) + 1
        if row.start == row.last and (row.alias is not None or row.disabled):
            # rule 2: size 0 and 1 print alike; 0 is a closed bridge window or a region not yet set up
            self.size = 0
        self.priority = row.priority
        self.type = row.type
        self.nonvolatile = row.nonvolatile
        self.enabled = not row.disabled
        self.alias: AliasRow | None = row.alias
        self.owner: OwnerRow | None = row.owner
        self.parent: OwnerRow | None = row.parent
        self.container: Node | None = None
        self.display: list[Node] = []
        """Children as printed: by address, then descending priority, then list order."""
        self.children: list[Node] = []
        """Children in list order, as far as known."""
        self.place = 0
        """Index among the container's displayed children."""
        self.shape = -1
        """Equal numbers mean that two subtrees print the same."""
        self.target: Node | None = None
        self.terminates: bool | None = True if row.alias is None and row.type in MEMORY_TYPES else None
        if row.alias is not None:
            self.terminates = False
        self.readonly = row.type == "rom" and row.alias is None
        self.command_mode = False
        """A ROM device that is not in romd mode."""
        self.iommu = False
        self.block: int | None = None
        self.index = -1

    @property
    def is_memory(self) -> bool:
        """Whether the region itself (not what an alias shows) is backed by RAM."""
        return self.alias is None and self.type in MEMORY_TYPES

    def __repr__(self) -> str:
        return f"<Node {region_line(self.row)}>"


@dataclass(slots=True)
class Root:
    """One printed tree: the address spaces of a group, or one `memory-region:` section."""

    spaces: tuple[str, ...]
    """Empty for a section."""
    name: str
    node: Node
    count: int
    """Number of regions in the tree."""


@dataclass(slots=True)
class Forest:
    """All printed trees, in printed order."""

    groups: list[Root]
    sections: list[Root]
    owners: bool
    notes: list[str]


def region_line(row: RegionRow) -> str:
    """The line of an `info mtree` that *row* came from, without owner."""
    alias = "" if row.alias is None else f" @{row.alias.target} {span(row.alias.start, row.alias.last)}"
    return (
        f"{span(row.start, row.last)} (prio {row.priority}, {'nv-' if row.nonvolatile else ''}{row.type}): "
        f"{'alias ' if alias else ''}{row.name}{alias}{' [disabled]' if row.disabled else ''}"
    )


def range_line(row: RangeRow) -> str:
    """The line of an `info mtree -f` that *row* came from, without owner."""
    offset = f" @{row.offset:016x}" if row.offset else ""
    kind = ("nv-" if row.nonvolatile else "") + row.type
    return f"{span(row.start, row.last)} (prio {row.priority}, {kind}): {row.name}{offset}"


def contradiction(why: str, *evidence: Node | RangeRow) -> NoReturn:
    """Raise `RecordingError`: *why*, and the lines of the two texts that do not go together."""
    lines = [
        f"'{FLAT}' has {range_line(e)!r}" if isinstance(e, RangeRow) else f"'{TREE}' has {region_line(e.row)!r}"
        for e in evidence
    ]
    raise RecordingError(f"the recording contradicts itself: {why}{': ' if lines else ''}{'; '.join(lines)}")


def walk(node: Node) -> Iterator[Node]:
    """*node* and everything below it in printed order; aliases are not followed."""
    stack = [node]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(reversed(node.display))


def forest_of(tree: TreeRow) -> Forest:
    """The trees of *tree*, each region of each tree a node of its own.

    A text without -D hides disabled regions but shows what is below them; such a hidden region becomes
    a disabled one at the same address, and a note.

    :raises RecordingError: a level is left out although the text was made with -D.
    """
    notes: list[str] = []
    groups = [_root(group.spaces, ", ".join(group.spaces), group.regions, tree, notes) for group in tree.groups]
    sections = [_root((), target.name, target.regions, tree, notes) for target in tree.targets]
    return Forest(groups, sections, tree.owners, notes)


def _root(spaces: tuple[str, ...], name: str, rows: Sequence[RegionRow], tree: TreeRow, notes: list[str]) -> Root:
    path: list[Node] = []
    root: Node | None = None
    count = 0
    for row in rows:
        if row.level > len(path) + 1 or not rows or (root is None and row.level != 1):
            if tree.disabled:
                contradiction(f"under '{name}' the line of the region above is missing", Node(row, 0))
            while len(path) < row.level - 1:
                hidden = _hidden(path[-1] if path else None, name, len(path) + 1)
                root, count = root or hidden, count + 1
                path.append(hidden)
            notes.append(f"a disabled region above '{row.name}' in '{name}' is not in the text (made without -D)")
        del path[row.level - 1 :]
        if not path and root is not None:
            contradiction(f"'{name}' has two roots", root, Node(row, 0))
        node = Node(row, path[-1].row.start if path else 0)
        _attach(node, path[-1] if path else None)
        if tree.disabled:
            _check_place(node)
        root, count = root or node, count + 1
        path.append(node)
    if root is None:
        if tree.disabled:
            contradiction(f"'{name}' has no region")
        root, count = _hidden(None, name, 1), 1
        notes.append(f"the disabled root of '{name}' is not in the text (made without -D)")
    for node in walk(root):
        node.children = sorted(node.display, key=lambda child: -child.priority)
    return Root(spaces, name, root, count)


def _check_place(node: Node) -> None:
    """Refuse a line that stands, or is marked, otherwise than QEMU prints it (spec/memory.md 6.4)."""
    row, container = node.row, node.container
    base = 0 if container is None else container.row.start
    if row.overflow != (row.start < base or row.last < row.start):
        contradiction("[DETECTED OVERFLOW!] stands, or is missing, in front of this region", node)
    if container is not None and node.place:
        before = container.display[node.place - 1]
        if (before.addr, -before.priority) > (node.addr, -node.priority):
            contradiction("regions are printed by address, then by descending priority", before, node)


def _attach(node: Node, container: Node | None) -> None:
    node.container = container
    if container is not None:
        node.place = len(container.display)
        container.display.append(node)


def _hidden(container: Node | None, name: str, level: int) -> Node:
    """A stand-in for a disabled region that the text leaves out: prints nothing, moves nothing."""
    start = container.row.start if container is not None else 0
    row = RegionRow(level, start, U64_MAX, 0, "i/o", False, f"{name} (hidden)" if container else name, disabled=True)
    node = Node(row, start)
    node.size = SPACE
    _attach(node, container)
    return node
