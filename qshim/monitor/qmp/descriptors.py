"""QMP commands about file descriptors that a client passed with its input (spec/monitor.md 4.3)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from qshim.monitor.qmp.table import QMP
from qshim.monitor.registry import CommandError

if TYPE_CHECKING:
    from qshim.vm import Vm

__all__ = ["add_fd", "closefd", "getfd", "query_fdsets", "remove_fd"]

Arguments = Mapping[str, object]


def _taken(vm: Vm) -> int:
    """The descriptor that came with the command; others that came with it are closed."""
    if not vm.passed:
        raise CommandError("No file descriptor supplied via SCM_RIGHTS")
    fd, *others = vm.passed
    vm.passed.clear()
    for other in others:
        _close(other)
    return fd


def _close(fd: int) -> None:
    with suppress(OSError):
        os.close(fd)


@QMP.command("getfd")
def getfd(vm: Vm, arguments: Arguments) -> object:
    """Name the descriptor that came along; one of that name is closed."""
    name = str(arguments["fdname"])
    fd = _taken(vm)
    if name[:1].isdigit():
        _close(fd)
        raise CommandError("Parameter 'fdname' expects a name not starting with a digit")
    if name in vm.fds:
        _close(vm.fds[name])
    vm.fds[name] = fd
    return {}


@QMP.command("closefd")
def closefd(vm: Vm, arguments: Arguments) -> object:
    """Close a named descriptor."""
    name = str(arguments["fdname"])
    if name not in vm.fds:
        raise CommandError(f"File descriptor named '{name}' not found")
    _close(vm.fds.pop(name))
    return {}


@QMP.command("add-fd")
def add_fd(vm: Vm, arguments: Arguments) -> object:
    """Put the descriptor that came along into a set: the one asked for, or the first free number."""
    wanted = arguments.get("fdset-id")
    fd = _taken(vm)
    if isinstance(wanted, int) and wanted < 0:
        _close(fd)
        raise CommandError("Parameter 'fdset-id' expects a non-negative value")
    number = wanted if isinstance(wanted, int) else next(n for n in range(len(vm.fdsets) + 1) if n not in vm.fdsets)
    opaque = arguments.get("opaque")
    vm.fdsets.setdefault(number, {})[fd] = None if opaque is None else str(opaque)
    return {"fdset-id": number, "fd": fd}


@QMP.command("remove-fd")
def remove_fd(vm: Vm, arguments: Arguments) -> object:
    """Close one descriptor of a set, or all; an empty set is gone."""
    number, fd = arguments["fdset-id"], arguments.get("fd")
    assert isinstance(number, int)
    members = vm.fdsets.get(number)
    if members is None or (fd is not None and fd not in members):
        which = f"fdset-id:{number}" + (f", fd:{fd}" if fd is not None else "")
        raise CommandError(f"File descriptor named '{which}' not found")
    for each in [fd] if isinstance(fd, int) else list(members):
        _close(each)
        del members[each]
    if not members:
        del vm.fdsets[number]
    return {}


@QMP.command("query-fdsets")
def query_fdsets(vm: Vm, arguments: Arguments) -> object:
    """The sets, by number."""
    return [
        {"fdset-id": number, "fds": [{"fd": fd} | ({"opaque": o} if o is not None else {}) for fd, o in fds.items()]}
        for number, fds in sorted(vm.fdsets.items())
    ]
