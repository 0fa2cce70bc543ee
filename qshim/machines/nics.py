"""Network cards of -nic and -net, and those that a board has without being asked (spec/x86-boards.md 2.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qshim.devices.catalogue import instantiate
from qshim.machines.plugging import nic_types

if TYPE_CHECKING:
    from qshim.devices.qdev import Bus
    from qshim.machines.machine import Machine

__all__ = ["check_peers", "make_nics", "nic_models"]

_TYPES = {"virtio": "virtio-net-pci", "virtio-net": "virtio-net-pci", "e1000-82540em": "e1000"}
"""Models that are called otherwise than their types."""


def nic_models(machine: Machine) -> list[str]:
    """Models of the cards, in order; the board's own where none was named."""
    from qshim.argv.opts import members

    models = []
    for option, value in machine.plan.nets:
        values = members(value, "type").values
        if option == "netdev" or (option == "net" and values.get("type") != "nic"):
            continue
        if option == "nic" and values.get("type") == "none":
            continue
        models.append(values.get("model", machine.default_nic))
    if machine.default_nic and not machine.plan.nets and not machine.request.line.nodefaults:
        models.append(machine.default_nic)
    return models


def make_nics(machine: Machine, bus: Bus) -> None:
    """Plug the cards into *bus*."""
    for model in nic_models(machine):
        device = instantiate(machine.board, _TYPES.get(model, model), bus)
        if not machine.plan.nets:
            device.properties["netdev"] = "hub0port0"


def check_peers(machine: Machine) -> None:
    """Warn of network cards that nobody connected."""
    numbers: dict[str, int] = {}
    for device in machine.board.devices:
        if device.type_name not in nic_types(machine.quirks.label, machine.request.target):
            continue
        number = numbers.get(device.type_name, 0)
        numbers[device.type_name] = number + 1
        if "netdev" not in device.properties:
            machine.warn(f"nic {device.id or f'{device.type_name}.{number}'} has no peer")
