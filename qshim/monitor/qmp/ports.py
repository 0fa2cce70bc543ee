"""QMP commands about character devices, I/O threads and what can be unblocked."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from qshim.monitor.qmp.machine import recorded
from qshim.monitor.qmp.table import QMP
from qshim.monitor.registry import CommandError

if TYPE_CHECKING:
    from qshim.vm import Vm

__all__ = ["chardev_remove", "query_chardev", "query_iothreads", "query_yank"]

Arguments = Mapping[str, object]

_SOCKETS = ("unix:", "tcp:", "telnet:", "disconnected:", "websocket:")


@QMP.command("query-chardev")
def query_chardev(vm: Vm, arguments: Arguments) -> object:
    """The character devices: those that are served, and those of the recorded machine."""
    served = [
        {"label": c.label, "filename": c.filename, "frontend-open": c.frontend_open} for c in vm.chardevs.values()
    ]
    machines = recorded(vm, "query-chardev") if vm.recorded("query-chardev") is not None else []
    return [*served, *(each for each in machines if each["label"] not in vm.chardevs)]


@QMP.command("chardev-remove")
def chardev_remove(vm: Vm, arguments: Arguments) -> object:
    """Remove a character device; those of qshim are all in use."""
    name = str(arguments["id"])
    labels = {each["label"] for each in query_chardev(vm, {})}  # type: ignore[attr-defined]
    raise CommandError(f"Chardev '{name}' {'is busy' if name in labels else 'not found'}")


@QMP.command("query-yank")
def query_yank(vm: Vm, arguments: Arguments) -> object:
    """What may be cut off: chardevs that are sockets."""
    return [
        {"type": "chardev", "id": each.label} for each in vm.chardevs.values() if each.filename.startswith(_SOCKETS)
    ]


@QMP.command("query-iothreads")
def query_iothreads(vm: Vm, arguments: Arguments) -> object:
    """The I/O threads; qshim runs none, so their thread is this process."""
    objects = vm.qom.at("objects") if vm.qom is not None else None
    told = vm.recorded("query-iothreads")
    known = {each["id"]: each for each in told} if isinstance(told, list) else {}
    made = [] if objects is None else [c.name for c in objects.children.values() if c.type_name == "iothread"]
    grow, shrink, weight = vm.quirks.iothread_polling
    defaults = {"poll-max-ns": 32768, "poll-grow": grow, "poll-shrink": shrink}
    if weight is not None:
        defaults["poll-weight"] = weight
    return [
        {"id": name, "thread-id": os.getpid(), **known.get(name, {**defaults, "aio-max-batch": 0})} for name in made
    ]
