"""QMP commands about what no machine here has: block nodes, network back ends, displays, keys that anybody feels.

Each answers as QEMU does where there is none of it (asked of 7.2, 10.0 and 11.1). What would make one is not here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from qshim.monitor.qmp.table import QMP
from qshim.monitor.registry import CommandError

if TYPE_CHECKING:
    from qshim.vm import Vm

__all__ = [
    "announce_self", "block_resize", "blockdev_del", "eject", "expire_password", "nbd_server_stop",
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
