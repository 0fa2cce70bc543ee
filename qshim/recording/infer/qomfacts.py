"""What the QOM properties of memory regions settle: sizes of 0 and 1, which print alike (rule 2)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from qshim.recording.format import QomRegion
from qshim.recording.infer.nodes import Node

__all__ = ["escaped", "settle_sizes"]

_INDEX = re.compile(r"\[\d+\]$")
_SPECIAL = re.compile(r"[/\[\\\]]")


def escaped(name: str) -> str:
    r"""*name* as a QOM child name without index (spec/memory.md 1.1).

    >>> escaped("port[uart]")
    'port\\x5buart\\x5d'
    """
    return _SPECIAL.sub(lambda match: f"\\x{ord(match[0]):02x}", name)


def settle_sizes(nodes: list[Node], qom: Mapping[str, QomRegion]) -> None:
    """Correct the size of regions that print start == last, where all QOM objects that fit agree."""
    doubtful = [node for node in nodes if node.row.start == node.row.last]
    if not doubtful:
        return
    found: dict[tuple[str, int, int, str], set[tuple[str, int]]] = {}
    for path, region in qom.items():
        if region.size <= 1:
            container = _stem(region.container)
            key = (_stem(path), region.addr, region.priority, container)
            found.setdefault(key, set()).add((path.rpartition("/")[0], region.size))
    for node in doubtful:
        container = "" if node.container is None else escaped(node.container.name)
        options = found.get((escaped(node.name), node.addr, node.row.priority, container), set())
        above = node.parent if node.parent is not None else node.owner
        mine = {size for path, size in options if above is not None and above.key == "path" and above.value == path}
        sizes = mine or {size for _, size in options}
        if len(sizes) == 1:
            node.size = sizes.pop()


def _stem(path: str) -> str:
    return _INDEX.sub("", path.rpartition("/")[2])
