"""HMP commands about network back ends and cards."""

from __future__ import annotations

import re
from typing import Any

from qshim.monitor.hmp.bridge import ask
from qshim.monitor.hmp.cursor import LineError
from qshim.monitor.hmp.table import HMP, Call
from qshim.monitor.network import network_of
from qshim.monitor.registry import CommandError

__all__ = ["info_network", "netdev_add", "netdev_del", "set_link"]

_NETWORK = ("net", "e1000", "igb", "rtl8139", "ne2k", "pcnet", "vmxnet", "emac", "gmac", "gem", "lan9118", "smc91",
            "i8255", "tulip", "fec", "eth", "dp8393", "lance", "etsec")  # fmt: skip
"""In the names of types of network devices."""
_ID = re.compile(r"[A-Za-z][A-Za-z0-9._-]*", re.ASCII)
_BOOLS = ("on", "yes", "true", "y", "off", "no", "false", "n")
_HINT = 'Try "help netdev_add" for more information\n'


@HMP.command("info network")
def info_network(call: Call) -> str:
    """Network devices and back ends: nothing where there is none."""
    from qshim.monitor.qmp.machine import types_of
    from qshim.monitor.qmp.network import cards_of

    vm = call.vm
    network, cards = network_of(vm), cards_of(vm)
    others = vm.machine_model is None and any(part in n.lower() for n in types_of(vm) for part in _NETWORK)
    if network.unknown or others:
        raise CommandError("info network is not modelled by qshim for this machine")
    return network.text(cards)


@HMP.command("netdev_add")
def netdev_add(call: Call) -> str:
    """Make a network back end that is described as `-netdev` does."""
    from qshim.monitor.hmp.keyval import parsed_opts

    given = parsed_opts(call.text("netdev"), "type")
    name = given.get("id")
    if name is not None and (_ID.fullmatch(name) is None or name in network_of(call.vm).devices):
        # why is only said on standard error
        raise LineError(_HINT)
    for member in ("id", "type"):
        if member not in given:
            raise CommandError(f"Parameter '{member}' is missing")
    known = _members(call, given["type"])
    for member, value in given.items():
        if member not in known:
            raise CommandError(f"Invalid parameter '{member}'")
        if known[member] == "bool" and value not in _BOOLS:
            raise CommandError(f"Parameter '{member}' expects 'on' or 'off'")
        if known[member] == "int" and not value.isdecimal():
            raise CommandError(f"Parameter '{member}' expects integer")
    if given["type"] == "hubport" and "hubid" not in given:
        raise CommandError("Parameter 'hubid' is missing")
    ask(call.vm, "netdev_add", given)
    return ""


def _members(call: Call, kind: str) -> dict[str, str]:
    """What a back end of *kind* takes: member -> type.

    :raises CommandError: there is no such kind.
    """
    from qshim.monitor.qmp.extensions import schema_for

    types = schema_for(call.vm).types
    top: Any = types[str(types["netdev_add"]["arg-type"])]
    found = next((each["type"] for each in top["variants"] if each["case"] == kind), None)
    if found is None:
        raise CommandError(f"Parameter 'type' does not accept value '{kind}'")
    return {each["name"]: each["type"] for each in (*top["members"], *types[found]["members"])}


@HMP.command("netdev_del")
def netdev_del(call: Call) -> str:
    """Remove a network back end."""
    ask(call.vm, "netdev_del", {"id": call.text("id")})
    return ""


@HMP.command("set_link")
def set_link(call: Call) -> str:
    """Plug a network cable."""
    ask(call.vm, "set_link", {"name": call.text("name"), "up": call.flag("up")})
    return ""
