"""Character devices that a monitor makes, changes and removes (spec/monitor.md 4.2).

What needs the host is opened by whoever serves the machine (`Vm.chardev_host`). A client may not reach
further with a character device than with other commands: files, pipes and listening unix sockets are
subject to `Vm.may_write`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from qshim.argv import Chardev as Device
from qshim.argv import OptionError, SocketAddress
from qshim.monitor.registry import CommandError
from qshim.vm import Chardev, Ring

if TYPE_CHECKING:
    from qshim.vm import Vm

__all__ = ["add", "change", "device_of", "remove"]

_RING = 65536
"""Bytes of a ring buffer unless it is told otherwise."""
_RINGS = ("ringbuf", "memory")


def device_of(name: str, kind: str, data: Mapping[str, Any]) -> Device:
    """What QMP's ChardevBackend of type *kind* describes.

    :raises CommandError: qshim has no such character device.
    """
    if "logfile" in data:
        raise CommandError("chardev-add with logfile is not modelled by qshim")
    device = Device(name, kind, "")
    if kind in ("null", "pty"):
        return device
    if kind in _RINGS:
        size = data.get("size", _RING)
        if size & (size - 1):
            raise CommandError("size of ringbuf chardev must be power of two")
        return device._replace(size=size)
    if kind == "file":
        return device._replace(path=data["out"], input_path=data.get("in"), append=data.get("append", False))
    if kind == "pipe":
        return device._replace(path=data["device"])
    if kind == "stdio":
        raise CommandError("cannot use stdio by multiple character devices")
    if kind == "mux":
        raise CommandError(f"mux: base chardev {data['chardev']} not found")
    if kind == "socket":
        return device._replace(address=_address(data))
    raise CommandError(f"chardev-add of {kind} is not modelled by qshim")


def _address(data: Mapping[str, Any]) -> SocketAddress:
    for unserved in ("websocket", "tn3270", "tls-creds"):
        if data.get(unserved):
            raise CommandError(f"qshim does not speak {unserved.removesuffix('-creds')}")
    where = data["addr"]["data"]
    server = data.get("server", True)
    reconnect = data.get("reconnect-ms", data.get("reconnect", 0) * 1000) / 1000
    base = SocketAddress(
        server=server, wait=False, telnet=data.get("telnet", False), reconnect=0 if server else reconnect
    )
    kind = data["addr"]["type"]
    if kind == "unix":
        return base._replace(
            path=where["path"], abstract=where.get("abstract", False), tight=where.get("tight", True)
        )
    if kind == "inet":
        if not where["port"].isdecimal():
            raise CommandError(f"address resolution failed for {where['host']}:{where['port']}: Servname not supported")
        return base._replace(host=where["host"], port=int(where["port"]) & 0xFFFF)
    if kind == "fd":
        raise CommandError(f"File descriptor named '{where['str']}' has not been found")
    raise CommandError(f"chardev-add with a socket of type {kind} is not modelled by qshim")


def add(vm: Vm, device: Device) -> str:
    """Make *device*; its name as query-chardev shows it.

    :raises CommandError: it cannot be had.
    """
    if device.kind == "null" or device.kind in _RINGS:
        if device.kind in _RINGS:
            vm.rings[device.id] = Ring(device.size)
        vm.chardevs[device.id] = Chardev(device.id, device.kind, frontend_open=False, busy=False)
        return device.kind
    if vm.chardev_host is None:
        raise CommandError(f"chardev-add of {device.kind} is not modelled by qshim for a machine that nobody serves")
    written = [device.path] if device.path else []
    address = device.address
    if address is not None and address.server and address.path is not None and not address.abstract:
        written.append(address.path)
    for path in written:
        reason = vm.may_write(path)
        if reason is not None:
            raise CommandError(f"Could not open '{path}': {reason}")
    try:
        return vm.chardev_host.plug(device)
    except OptionError as error:
        raise CommandError(error.reports[0].removeprefix(": ")) from None


def remove(vm: Vm, name: str) -> None:
    """Take away the character device *name*, which nobody uses.

    :raises CommandError: it came with the machine.
    """
    if name not in vm.chardevs or vm.chardevs[name].busy:
        raise CommandError(f"Chardev '{name}' is busy")
    if vm.chardev_host is not None:
        vm.chardev_host.unplug(name)
    vm.chardevs.pop(name, None)
    vm.rings.pop(name, None)


def change(vm: Vm, device: Device) -> str:
    """Put *device* in the place of the one of the same name.

    :raises CommandError: its user cannot go on with another one.
    """
    old = vm.chardevs.get(device.id)
    if old is None:
        raise CommandError(f"Chardev '{device.id}' does not exist")
    if old.busy:
        raise CommandError("Chardev user does not support chardev hotswap")
    remove(vm, device.id)
    return add(vm, device)
