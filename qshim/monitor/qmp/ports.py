"""QMP commands about character devices, I/O threads and what can be unblocked."""

from __future__ import annotations

import os
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import TYPE_CHECKING

from qshim.monitor.chardevs import add, change, device_of, remove
from qshim.monitor.qmp.keytable import KeyTable
from qshim.monitor.qmp.machine import recorded
from qshim.monitor.qmp.table import QMP
from qshim.monitor.registry import CommandError
from qshim.vm import Ring

if TYPE_CHECKING:
    from qshim.argv import Chardev as Device
    from qshim.vm import Vm

__all__ = [
    "chardev_add", "chardev_change", "chardev_remove", "chardev_send_break", "query_chardev", "query_iothreads",
    "query_yank", "ringbuf_read", "ringbuf_write",
]  # fmt: skip

Arguments = Mapping[str, object]

_NOT_BASE64 = re.compile("[^A-Za-z0-9+/=]")
_SOCKETS = ("unix:", "tcp:", "telnet:", "disconnected:", "websocket:")


@QMP.command("query-chardev")
def query_chardev(vm: Vm, arguments: Arguments) -> object:
    """The character devices: those that are served, and those of the recorded machine."""
    found = {each["label"]: each for each in (recorded(vm, "query-chardev") if vm.recorded("query-chardev") else ())}
    for c in vm.chardevs.values():
        found[c.label] = {"label": c.label, "filename": c.filename, "frontend-open": c.frontend_open}
    table = KeyTable()
    for label in found:
        table.insert(label)
    # QEMU makes the list from its end
    return [found[label] for label in reversed(tuple(table))]


def _labels(vm: Vm) -> set[str]:
    return {each["label"] for each in query_chardev(vm, {})}  # type: ignore[attr-defined]


@QMP.command("chardev-add")
def chardev_add(vm: Vm, arguments: Arguments) -> object:
    """Make a character device; a pty answers with its path."""
    name = str(arguments["id"])
    if name in _labels(vm):
        raise CommandError(f"Chardev with id '{name}' already exists")
    try:
        filename = add(vm, _device(arguments))
    except CommandError as error:
        if "by qshim" in error.desc:
            raise
        raise CommandError(f"Failed to add chardev '{name}': {error.desc}") from None
    return {"pty": filename.removeprefix("pty:")} if filename.startswith("pty:") else {}


def _device(arguments: Arguments) -> Device:
    backend = arguments["backend"]
    assert isinstance(backend, Mapping)
    return device_of(str(arguments["id"]), str(backend["type"]), backend["data"])


@QMP.command("chardev-change")
def chardev_change(vm: Vm, arguments: Arguments) -> object:
    """Put another one in its place."""
    name = str(arguments["id"])
    if name not in _labels(vm):
        raise CommandError(f"Chardev '{name}' does not exist")
    if name not in vm.chardevs:
        raise CommandError("chardev-change of a recorded device is not modelled by qshim")
    filename = change(vm, _device(arguments))
    return {"pty": filename.removeprefix("pty:")} if filename.startswith("pty:") else {}


@QMP.command("chardev-send-break")
def chardev_send_break(vm: Vm, arguments: Arguments) -> object:
    """Send a break to whoever uses it: nobody minds."""
    if arguments["id"] not in _labels(vm):
        raise CommandError(f"Chardev '{arguments['id']}' not found")
    return {}


@QMP.command("chardev-remove")
def chardev_remove(vm: Vm, arguments: Arguments) -> object:
    """Remove a character device that nobody uses."""
    name = str(arguments["id"])
    if name not in _labels(vm):
        raise CommandError(f"Chardev '{name}' not found")
    remove(vm, name)
    return {}


def _ring(vm: Vm, arguments: Arguments) -> Ring:
    name = str(arguments["device"])
    if name in vm.rings:
        return vm.rings[name]
    if name in _labels(vm):
        raise CommandError(f"{name} is not a ringbuf device")
    raise CommandError(f"Device '{name}' not found")


@QMP.command("ringbuf-write")
def ringbuf_write(vm: Vm, arguments: Arguments) -> object:
    """Put data into a ring buffer."""
    ring, data = _ring(vm, arguments), str(arguments["data"])
    if arguments.get("format", "utf8") == "utf8":
        ring.write(data.encode("utf-8", "surrogatepass"))
        return {}
    try:
        if _NOT_BASE64.search(data):
            raise ValueError
        # what is no whole group of four is dropped
        ring.write(b64decode(data[: len(data) // 4 * 4], validate=True))
    except ValueError:
        raise CommandError("Base64 data contains invalid characters") from None
    return {}


@QMP.command("ringbuf-read")
def ringbuf_read(vm: Vm, arguments: Arguments) -> object:
    """Take data out of a ring buffer."""
    ring, size = _ring(vm, arguments), arguments["size"]
    assert isinstance(size, int)
    if size <= 0:
        raise CommandError("size must be greater than zero")
    data = ring.read(size)
    return data.decode("utf-8", "replace") if arguments.get("format", "utf8") == "utf8" else b64encode(data).decode()


@QMP.command("query-yank")
def query_yank(vm: Vm, arguments: Arguments) -> object:
    """What may be cut off: chardevs that are sockets."""
    return [
        {"type": "chardev", "id": each.label} for each in vm.chardevs.values() if each.filename.startswith(_SOCKETS)
    ]


@QMP.command("query-iothreads")
def query_iothreads(vm: Vm, arguments: Arguments) -> object:
    """The I/O threads; qshim runs none, so their thread is this process."""
    from qshim.monitor.qmp.objects import object_order, objects_of

    objects = objects_of(vm).children
    told = vm.recorded("query-iothreads")
    known = {each["id"]: each for each in told} if isinstance(told, list) else {}
    made = [objects[name] for name in object_order(vm) if objects[name].type_name == "iothread"]
    grow, shrink, weight = vm.quirks.iothread_polling
    defaults = {"poll-max-ns": 32768, "poll-grow": grow, "poll-shrink": shrink}
    if weight is not None:
        defaults["poll-weight"] = weight
    defaults["aio-max-batch"] = 0
    rows = []
    for each in made:
        own = {name: value for name, value in getattr(each, "values", {}).items() if name in defaults}
        rows.append({"id": each.name, "thread-id": os.getpid(), **known.get(each.name, {**defaults, **own})})
    return rows
