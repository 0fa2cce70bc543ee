"""Network back ends of a machine and what its network cards are connected to (spec/monitor.md 5.6).

Nothing is ever sent: a back end is a name that a card may be connected to. Those that need the host (taps,
sockets, helpers) are not made.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from qshim.devices.qdev import Device
from qshim.monitor.registry import CommandError

if TYPE_CHECKING:
    from qshim.vm import Vm

__all__ = ["MADE", "NetDev", "Network", "network_of"]

MADE = ("user", "hubport")
"""Kinds of back ends that can be made here."""
_HOST_OPTIONS = ("hostfwd", "guestfwd", "smb", "tftp", "bootfile")
_OFF = ("off", "no", "false", "n", False)


@dataclass(slots=True)
class NetDev:
    """One back end."""

    name: str
    kind: str
    info: str
    """What stands behind its kind in `info network`."""
    hub: int | None = None
    """The hub it is a port of."""
    peer: str | None = None
    """The back end that a port of a hub leads to."""
    behind: int = 0
    """How many network cards there were before it."""


@dataclass(slots=True)
class Network:
    """The back ends in the order in which they were made."""

    devices: dict[str, NetDev] = field(default_factory=dict)
    gone: dict[str, NetDev] = field(default_factory=dict)
    """Removed, but still what a card leads to."""
    unknown: bool = False
    """There are others, which nobody models."""

    def add(self, given: Mapping[str, Any], behind: int = 0) -> None:
        """Make what *given* describes, members of netdev_add, when there are *behind* cards.

        :raises CommandError: it cannot be made.
        """
        name, kind = str(given["id"]), str(given["type"])
        if name in self.devices:
            raise CommandError(f"Duplicate ID '{name}'")
        if kind not in MADE or any(option in given for option in _HOST_OPTIONS):
            raise CommandError(f"netdev_add of {kind} with what it needs of the host is not modelled by qshim")
        if kind == "hubport":
            peer = given.get("netdev")
            if peer is not None and peer not in self.devices:
                raise CommandError(f"Device '{peer}' not found", "DeviceNotFound")
            self.devices[name] = NetDev(name, kind, "", int(given["hubid"]), peer, behind)
            return
        net = _network(str(given.get("net", "10.0.2.0/24")))
        restrict = "off" if given.get("restrict", "off") in _OFF else "on"
        self.devices[name] = NetDev(name, kind, f"net={net},restrict={restrict}", behind=behind)

    def remove(self, name: str) -> None:
        """Take the back end *name* away.

        :raises CommandError: there is none.
        """
        found = self.devices.pop(name, None)
        if found is None:
            raise CommandError(f"Device '{name}' not found", "DeviceNotFound")
        self.gone[name] = found

    def text(self, cards: Mapping[str, Device]) -> str:
        """`info network`; *cards* by the names that they have there."""
        behind = {str(card.properties["netdev"]): name for name, card in cards.items() if "netdev" in card.properties}
        known = {**self.gone, **self.devices}
        return "".join(f"{line}\n" for line in _lines(self.devices, known, behind, cards))


def _network(text: str) -> str:
    """The address of the network *text*: `10.0.2.0/24`, or with a netmask in place of the length."""
    try:
        return str(ipaddress.IPv4Network(text if "/" in text else f"{text}/24", strict=False).network_address)
    except ValueError:
        raise CommandError("Failed to parse netmask") from None


def _lines(
    made: Mapping[str, NetDev], known: Mapping[str, NetDev], behind: Mapping[str, str], cards: Mapping[str, Device]
) -> Iterator[str]:
    hubs: dict[int, list[NetDev]] = {}
    for each in made.values():
        if each.hub is not None:
            hubs.setdefault(each.hub, []).append(each)

    def described(name: str) -> str:
        if name in cards:
            card = cards[name]
            return f"{name}: index=0,type=nic,model={card.type_name},macaddr={_mac(card)}"
        each = known[name]
        return f"{name}: index=0,type={each.kind}{',' if each.info else ''}{each.info}"

    for number in reversed(hubs):
        yield f"hub {number}"
        for port in reversed(hubs[number]):
            peer = behind.get(port.name, port.peer)
            yield f" \\ {port.name}" + ("" if peer is None else f": {described(peer)}")
    inside = {port.peer for ports in hubs.values() for port in ports if port.peer}
    for place, name in enumerate([*cards, None]):
        for each in made.values():
            if each.behind == place and each.hub is None and each.name not in behind and each.name not in inside:
                yield described(each.name)
        peer = None if name is None else cards[name].properties.get("netdev")
        if name is not None and (peer is None or peer not in known or known[peer].hub is None):
            yield described(name)
            if peer is not None and peer in known:
                yield f" \\ {described(peer)}"


def _mac(card: Device) -> object:
    from qshim.views.qtree import property_value

    behind = card.child("virtio-backend")
    for device in (card, behind):
        if isinstance(device, Device) and (found := property_value(device, "mac")) is not None:
            return found
    return "00:00:00:00:00:00"


_NETWORKS: WeakKeyDictionary[Vm, Network] = WeakKeyDictionary()


def network_of(vm: Vm) -> Network:
    """The back ends of *vm*: those of its command line, and what monitors made of them."""
    found = _NETWORKS.get(vm)
    if found is not None:
        return found
    vm.build()
    network = _NETWORKS[vm] = Network()
    machine: Any = vm.machine_model
    for option, text in machine.plan.nets if machine is not None else ():
        from qshim.argv.opts import members

        given = members(text, "type").values
        try:
            if option != "netdev":
                raise CommandError(option)
            network.add(given)
        except (CommandError, KeyError, ValueError):
            network.unknown = network.unknown or text != "none"
    return network
