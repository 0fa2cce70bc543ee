"""Finding objects by path, as QEMU does: absolute or partial, through children and links (spec/monitor.md 4.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qshim.monitor.qmp.objects import objects_of
from qshim.monitor.registry import CommandError
from qshim.qom import QomObject
from qshim.qom.types import qom_types

if TYPE_CHECKING:
    from qshim.vm import Vm

__all__ = ["link_target", "resolved"]

_SOCKETS = ("unix", "tcp", "telnet", "websocket", "fd")
_SYSTEM = "/machine/unattached/system[0]"


def resolved(vm: Vm, path: str, *, ambiguous: bool = True) -> QomObject:
    """The object at *path*, which may be a part of a path if it leads somewhere from one object only.

    :raises CommandError: there is none, or more than one.
    """
    objects_of(vm)
    root = vm.qom
    assert root is not None
    for name in vm.quirks.root_objects:
        if root.child(name) is None:
            root.add_child(name, QomObject("container"))
    _enter_chardevs(vm, root)
    parts = [part for part in path.split("/") if part]
    if path.startswith("/"):
        found = [_from(vm, root, parts)]
    else:
        found = [_from(vm, each, parts) for each in root.walk()] if parts else [root] * 2
    there = [each for each in found if each is not None]
    if len(there) > 1 and ambiguous:
        raise CommandError(f"Path '{path}' is ambiguous")
    if len(there) != 1:
        raise CommandError(f"Device '{path}' not found", "DeviceNotFound")
    return there[0]


def _from(vm: Vm, start: QomObject, parts: Sequence[str]) -> QomObject | None:
    """Where *parts* lead from *start*."""
    here: QomObject | None = start
    for part in parts:
        assert here is not None
        here = here.child(part) or link_target(vm, here, part)
        if here is None:
            return None
    return here


def link_target(vm: Vm, here: QomObject, name: str) -> QomObject | None:
    """The object that the link *name* of *here* leads to; None where there is no such link, or nobody knows."""
    if name != "memory" or not here.type_name.endswith("-cpu") or vm.qom is None:
        return None
    known = qom_types(vm.quirks.label, vm.target)
    if known is None or not known.implements(here.type_name, "cpu"):
        return None
    return vm.qom.at(_SYSTEM)


def _enter_chardevs(vm: Vm, root: QomObject) -> None:
    """Let /chardevs have the character devices that there are now."""
    folder = root.child("chardevs")
    if folder is None:
        return
    for name in [name for name in folder.children if name not in vm.chardevs]:
        folder.remove_child(folder.children[name])
    for each in vm.chardevs.values():
        kind = each.filename.removeprefix("disconnected:").partition(":")[0]
        made = f"chardev-{'socket' if kind in _SOCKETS else kind}"
        if folder.child(each.label) is None:
            folder.add_child(each.label, QomObject(made))
