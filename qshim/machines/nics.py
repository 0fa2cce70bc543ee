"""Network cards of -nic and -net, and those that a board has without being asked (spec/x86-boards.md 2.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from qshim.devices.catalogue import instantiate
from qshim.machines.errors import MachineError
from qshim.machines.plugging import device_types, nic_types

if TYPE_CHECKING:
    from qshim.devices.qdev import Bus
    from qshim.machines.machine import Machine

__all__ = ["Nic", "check_peers", "make_nics", "nics_of"]

_TYPES = {"virtio": "virtio-net-pci", "virtio-net": "virtio-net-pci", "e1000-82540em": "e1000"}
"""Models that are called otherwise than their types."""


class Nic(NamedTuple):
    """A network card that a machine is to get."""

    model: str
    properties: Mapping[str, str]


def nics_of(machine: Machine) -> list[Nic]:
    """The cards, in order; the board's own where none was named."""
    from qshim.argv.opts import members

    nics: list[Nic] = []
    hub_ports = 0
    for option, value in machine.plan.nets:
        values = members(value, "type").values
        port = hub_ports
        hub_ports += option == "net"
        if option == "netdev" or (option == "net" and values.get("type") != "nic"):
            continue
        if option == "nic" and values.get("type") == "none":
            continue
        # the backend of -nic has a number at random for a name
        properties = {"netdev": f"#net{len(nics)}00" if option == "nic" else f"hub0port{port}"}
        # what -nic leaves out is 0, what -net leaves out is not set
        vectors = values.get("vectors", "0" if option == "nic" else None)
        if "macaddr" in values or "mac" in values:
            properties["mac"] = values.get("mac", values.get("macaddr", ""))
        model = values.get("model", machine.default_nic)
        if vectors is not None and model.startswith("virtio"):
            properties["vectors"] = vectors
        nics.append(Nic(model, properties))
    if machine.default_nic and not machine.plan.nets and not machine.request.line.nodefaults:
        nics.append(Nic(machine.default_nic, {"netdev": "hub0port0"}))
    return nics


def make_nics(machine: Machine, bus: Bus) -> None:
    """Plug the cards into *bus*, a PCI bus.

    :raises MachineError: there is no such model (later releases leave it out and warn).
    """
    known = device_types(machine.quirks.label, machine.request.target).buses
    for model, properties in nics_of(machine):
        type_name = _TYPES.get(model, model)
        if known.get(type_name) in ("PCI", "PCIE"):
            instantiate(machine.board, type_name, bus, properties=properties)
        elif machine.quirks.nics_are_tried:
            # its address is taken all the same
            if "mac" not in properties:
                machine.board.macs[len(machine.board.macs)] = None
            machine.warn(f"requested NIC (anonymous, model {model}) was not created (not supported by this machine?)")
        else:
            raise MachineError(f"Unsupported NIC model: {model}")


def check_peers(machine: Machine) -> None:
    """Warn of network cards that nobody connected, unless networks were left to the machine."""
    if not machine.plan.nets and not machine.request.line.nodefaults:
        return
    numbers: dict[str, int] = {}
    for device in machine.board.devices:
        if device.type_name not in nic_types(machine.quirks.label, machine.request.target):
            continue
        if device.bus is not None and device.bus.device is not None and device.parent is device.bus.device:
            # a part of a card that counts already
            continue
        number = numbers.get(device.type_name, 0)
        numbers[device.type_name] = number + 1
        if "netdev" not in device.properties:
            machine.warn(f"nic {device.id or f'{device.type_name}.{number}'} has no peer")
