"""QMP commands about what no machine here has: block nodes, network back ends, displays, keys that anybody feels.

Each answers as QEMU does where there is none of it (asked of 7.2, 10.0 and 11.1). What would make one is not here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from qshim.monitor.qmp.table import QMP
from qshim.monitor.registry import CommandError
from qshim.qom.types import qom_types

if TYPE_CHECKING:
    from qshim.vm import Vm

__all__ = [
    "announce_self", "block_resize", "block_set_io_throttle", "blockdev_del", "change_vnc_password",
    "client_migrate_info", "eject", "expire_password", "nbd_server_stop",
    "send_key", "set_password",
]  # fmt: skip

Arguments = Mapping[str, object]


def _no_device(name: object) -> CommandError:
    return CommandError(f"Device '{name}' not found", "DeviceNotFound")


@QMP.command("announce-self")
def announce_self(vm: Vm, arguments: Arguments) -> object:
    """Tell the network where the guest is: no network is there to hear it."""
    return {}


@QMP.command("send-key")
def send_key(vm: Vm, arguments: Arguments) -> object:
    """Press keys: nobody feels it."""
    return {}


@QMP.command("eject")
def eject(vm: Vm, arguments: Arguments) -> object:
    """Take a medium out of a drive."""
    if ("device" in arguments) == ("id" in arguments):
        raise CommandError("Need exactly one of 'device' and 'id'")
    if "id" in arguments:
        from qshim.monitor.qmp.devices import device_named

        device_named(vm, str(arguments["id"]))
        if not vm.recorded("query-block"):
            raise CommandError("Device does not have a block device backend")
    name = arguments.get("device", arguments.get("id"))
    drives = vm.recorded("query-block")
    if isinstance(drives, list) and any(name in (each["device"], each.get("qdev")) for each in drives):
        raise CommandError("eject is not modelled by qshim for a drive that is there")
    raise _no_device(name)


@QMP.command("block_resize")
def block_resize(vm: Vm, arguments: Arguments) -> object:
    """Change the size of a block device."""
    device, node = arguments.get("device", ""), arguments.get("node-name", "")
    raise CommandError(f"Cannot find device='{device}' nor node-name='{node}'")


@QMP.command("blockdev-del")
def blockdev_del(vm: Vm, arguments: Arguments) -> object:
    """Remove a block node."""
    raise CommandError(f"Failed to find node with node-name='{arguments['node-name']}'")


@QMP.command("nbd-server-stop")
def nbd_server_stop(vm: Vm, arguments: Arguments) -> object:
    """End the NBD server."""
    raise CommandError("NBD server not running")


@QMP.command("set_password")
def set_password(vm: Vm, arguments: Arguments) -> object:
    """Of VNC or SPICE."""
    if arguments["protocol"] == "spice":
        raise CommandError("SPICE is not in use")
    raise CommandError(vm.quirks.no_vnc_password)


@QMP.command("expire_password")
def expire_password(vm: Vm, arguments: Arguments) -> object:
    """Likewise."""
    time = str(arguments["time"])
    if vm.quirks.expiry_is_checked and time not in ("now", "never") and not time.removeprefix("+").isdecimal():
        raise CommandError(f"Parameter 'time' doesn't take value '{time}'")
    if arguments["protocol"] == "spice":
        raise CommandError("SPICE is not in use")
    raise CommandError("Could not set password expire time")


@QMP.command("change-vnc-password")
def change_vnc_password(vm: Vm, arguments: Arguments) -> object:
    """Of a display that is not there."""
    raise CommandError(vm.quirks.no_vnc_password)


@QMP.command("client_migrate_info")
def client_migrate_info(vm: Vm, arguments: Arguments) -> object:
    """Tell clients of a display where the machine goes."""
    if arguments["protocol"] != "spice":
        raise CommandError("Parameter 'protocol' expects 'spice'")
    raise CommandError("SPICE is not in use", "DeviceNotActive")


@QMP.command("block_set_io_throttle")
def block_set_io_throttle(vm: Vm, arguments: Arguments) -> object:
    """Limit a drive."""
    if ("device" in arguments) == ("id" in arguments):
        raise CommandError("Need exactly one of 'device' and 'id'")
    if "id" in arguments:
        from qshim.monitor.qmp.devices import device_named

        device_named(vm, str(arguments["id"]))
        raise CommandError("Device does not have a block device backend")
    raise _no_device(arguments["device"])


def _missing(command: str, desc: str, member: str = "", class_: str = "GenericError") -> None:
    """*command* fails: *desc*, with its *member* for {}."""

    def handler(vm: Vm, arguments: Arguments) -> object:
        raise CommandError(desc.format(arguments.get(member, "")), class_)

    QMP.command(command)(handler)


for _command in ("cancel", "complete", "pause", "resume", "set-speed"):
    _missing(f"block-job-{_command}", "Block job '{}' not found", "device", "DeviceNotActive")
for _command in ("cancel", "complete", "dismiss", "finalize", "pause", "resume"):
    _missing(f"job-{_command}", "Job not found")
for _command in ("query-rocker", "query-rocker-ports", "query-rocker-of-dpa-flows", "query-rocker-of-dpa-groups"):
    _missing(_command, "rocker {} not found", "name")
for _command in ("block-stream", "blockdev-snapshot-delete-internal-sync", "nbd-server-add"):
    _missing(_command, "Cannot find device='{0}' nor node-name='{0}'", "device")
_missing("migrate-start-postcopy", "Enable postcopy with migrate_set_capability before the start of migration")
_missing("display-update", "Can not find vnc display")
for _command in ("display-reload", "cancel-vcpu-dirty-limit", "rtc-reset-reinjection"):
    QMP.command(_command)(lambda vm, arguments: {})


def _virtio(command: str, desc: str | None) -> None:
    """*command* asks a virtio device at a path; *desc* None: as `Quirks.no_virtio_status`."""

    def handler(vm: Vm, arguments: Arguments) -> object:
        from qshim.monitor.qmp.paths import resolved

        path = str(arguments["path"])
        try:
            kind = resolved(vm, path).type_name
        except CommandError:
            kind = ""
        known = qom_types(vm.quirks.label, vm.target)
        if kind and (known is None or known.implements(kind, "virtio-device")):
            raise CommandError(f"{command} is not modelled by qshim")
        raise CommandError((desc or vm.quirks.no_virtio_status).format(path))

    QMP.command(command)(handler)


_virtio("x-query-virtio-status", None)
_virtio("x-query-virtio-queue-status", "Path {} is not a VirtIODevice")
_virtio("x-query-virtio-vhost-queue-status", "Path {} is not a VirtIODevice")
_virtio("x-query-virtio-queue-element", "Path {} is not a VirtIO device")
