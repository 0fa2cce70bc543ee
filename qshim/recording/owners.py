"""The owners that a recording names, as objects of one QOM tree.

Where the recording has `info qom-tree`, the tree is as recorded. An owner that it does not hold (a
text without it, an object outside the tree) is added where its path says, or stays outside.
"""

from __future__ import annotations

from qshim.qom import QomObject
from qshim.recording.format import Recording
from qshim.recording.parse import parse_qom_tree
from qshim.rows import OwnerRow

__all__ = ["Owners", "qom_tree"]

_UNKNOWN = "object"
"""QOM's base class: all that is known of an object that only an owner text names."""


def qom_tree(recording: Recording) -> QomObject:
    """The object tree of *recording*; empty but for its root where nothing was recorded.

    :raises RecordingError: an `info qom-tree` that cannot be read.
    """
    root = QomObject.root()
    for command in sorted(c for c in recording.hmp if c.split()[:2] == ["info", "qom-tree"]):
        by_path: dict[str, QomObject] = {"": root}
        for node in parse_qom_tree(recording.hmp[command], name=command):
            above, _, name = node.path.rpartition("/")
            container = by_path.get(above) or _made(root, above)
            child = container.child(name)
            if child is None:
                child = container.add_child(name, QomObject(node.type))
            by_path[node.path] = child
    return root


def _made(root: QomObject, path: str) -> QomObject:
    here = root
    for name in filter(None, path.split("/")):
        here = here.child(name) or here.add_child(name, QomObject("container"))
    return here


class Owners:
    """Finds or makes the object for an owner text."""

    def __init__(self, root: QomObject) -> None:
        self.root = root
        self._known: dict[OwnerRow, QomObject] = {}

    def object_of(self, row: OwnerRow | None) -> QomObject | None:
        """The object that prints as *row*; the same one for equal rows."""
        if row is None:
            return None
        found = self._known.get(row)
        if found is None:
            found = self._known[row] = self._find(row)
        return found

    def _find(self, row: OwnerRow) -> QomObject:
        if row.key == "type":
            return QomObject(row.value, is_device=row.is_device)
        if row.key == "id":
            found = self.root.at(f"machine/peripheral/{row.value}") or QomObject(_UNKNOWN)
            found.id = row.value
        elif row.value == "/":
            found = self.root
        else:
            above, _, name = row.value.rpartition("/")
            container = _made(self.root, above)
            found = container.child(name) or container.add_child(name, QomObject(_UNKNOWN))
        found.is_device = row.is_device
        return found
