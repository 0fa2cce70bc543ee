"""QMP commands about network back ends."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from qshim.devices.qdev import Device
from qshim.monitor.network import network_of
from qshim.monitor.qmp.table import QMP
from qshim.monitor.registry import CommandError

if TYPE_CHECKING:
    from qshim.vm import Vm

__all__ = ["cards_of", "netdev_add", "netdev_del", "set_link"]

Arguments = Mapping[str, object]

_ID = re.compile(r"[A-Za-z][A-Za-z0-9._-]*", re.ASCII)


def cards_of(vm: Vm) -> dict[str, Device]:
    """Network cards of a modelled machine by the names that they have as network clients, the oldest first."""
    vm.build()
    machine: Any = vm.machine_model
    if machine is None:
        return {}
    from qshim.machines.plugging import nic_types

    kinds = nic_types(vm.quirks.label, vm.target)
    numbers: dict[str, int] = {}
    cards = {}
    for device in machine.board.devices:
        # what is behind a virtio function is no card of its own
        if device.type_name in kinds and getattr(device.parent, "type_name", "") not in kinds:
            number = numbers.get(device.type_name, 0)
            numbers[device.type_name] = number + 1
            cards[device.id or f"{device.type_name}.{number}"] = device
    return cards


@QMP.command("netdev_add")
def netdev_add(vm: Vm, arguments: Arguments) -> object:
    """Make a network back end."""
    if _ID.fullmatch(str(arguments["id"])) is None:
        raise CommandError("Parameter 'id' expects an identifier")
    network_of(vm).add(arguments, len(cards_of(vm)))
    return {}


@QMP.command("netdev_del")
def netdev_del(vm: Vm, arguments: Arguments) -> object:
    """Remove a network back end."""
    network_of(vm).remove(str(arguments["id"]))
    return {}


@QMP.command("set_link")
def set_link(vm: Vm, arguments: Arguments) -> object:
    """Plug a network cable: no guest is there to see it."""
    name = str(arguments["name"])
    if name not in network_of(vm).devices and name not in cards_of(vm):
        raise CommandError(f"Device '{name}' not found", "DeviceNotFound")
    return {}
