"""QomObject: one object of QEMU's composition tree, as far as owners of memory are told apart by it.

An object has a type name, and a place in the tree once it is a child of something. Its canonical path
is made of the names on the way from the root (spec/memory.md 1.1, 6.6).
"""

from __future__ import annotations

from collections.abc import Iterator

from qshim.errors import QshimError

__all__ = ["QomError", "QomObject"]


class QomError(QshimError):
    """The object tree cannot be changed as asked."""


class QomObject:
    """One object. *device_id* is what a user called a device (`-device ...,id=`), None otherwise."""

    __slots__ = ("_children", "id", "is_device", "name", "parent", "type_name")

    def __init__(self, type_name: str, *, is_device: bool = False, device_id: str | None = None) -> None:
        self.type_name = type_name
        self.is_device = is_device
        self.id = device_id
        self.parent: QomObject | None = None
        self.name = ""
        """Name as a child of `parent`; empty for a root and for objects outside the tree."""
        self._children: dict[str, QomObject] = {}

    def __repr__(self) -> str:
        return f"<QomObject {self.type_name!r} at {self.path}>"

    @classmethod
    def root(cls) -> QomObject:
        """The top of a new tree, with the path `/`."""
        root = cls("container")
        root.name = "/"
        return root

    @property
    def children(self) -> dict[str, QomObject]:
        """Children by name, in order of addition (a copy)."""
        return dict(self._children)

    @property
    def path(self) -> str | None:
        """Canonical path; None while the object hangs below no root."""
        names: list[str] = []
        here: QomObject = self
        while here.parent is not None:
            names.append(here.name)
            here = here.parent
        if here.name != "/":
            return None
        return "/" + "/".join(reversed(names))

    def child(self, name: str) -> QomObject | None:
        """The child called *name*, or None."""
        return self._children.get(name)

    def add_child(self, name: str, child: QomObject) -> QomObject:
        """Hang *child* below this object; returns it.

        :raises QomError: the name is taken, or *child* has a parent.
        """
        if name in self._children:
            raise QomError(f"attempt to add duplicate property '{name}' to object (type '{self.type_name}')")
        if child.parent is not None:
            raise QomError(f"'{child.path}' cannot become '{name}' of '{self.path}': it has a parent already")
        child.parent = self
        child.name = name
        self._children[name] = child
        return child

    def add_numbered(self, name: str, child: QomObject) -> QomObject:
        """Hang *child* below this object as `NAME[N]` with the lowest N that is free (QEMU's `NAME[*]`)."""
        number = 0
        while f"{name}[{number}]" in self._children:
            number += 1
        return self.add_child(f"{name}[{number}]", child)

    def remove_child(self, child: QomObject) -> None:
        """Take *child* out of the tree, with everything below it.

        :raises QomError: it is no child of this object.
        """
        if child.parent is not self:
            raise QomError(f"'{child.path}' is no child of '{self.path}'")
        del self._children[child.name]
        child.parent = None
        child.name = ""

    def at(self, path: str) -> QomObject | None:
        """The object at *path* below this one (`machine/peripheral/nv1`), or None."""
        here: QomObject | None = self
        for name in path.split("/"):
            if here is None:
                return None
            if name:
                here = here.child(name)
        return here

    def walk(self) -> Iterator[QomObject]:
        """This object and everything below it, parents first."""
        stack = [self]
        while stack:
            here = stack.pop()
            yield here
            stack.extend(reversed(here._children.values()))
