"""HMP's device_add and device_del."""

from __future__ import annotations

from qshim.argv.dialect import option_help
from qshim.monitor.hmp.bridge import ask
from qshim.monitor.hmp.table import HMP, Call

__all__ = ["device_add", "device_del"]

_HELP = frozenset({"help", "?"})


@HMP.command("device_add")
def device_add(call: Call) -> str:
    """Plug a device that is described as `-device` does."""
    from qshim.monitor.hmp.keyval import parsed_opts
    from qshim.monitor.qmp.devices import add_device

    members = parsed_opts(call.text("device"), "driver")
    driver = members.get("driver")
    if driver in _HELP:
        return option_help(call.vm.quirks.label, call.vm.target)["-device help"][1]
    if driver is not None and members.keys() & _HELP:
        return _properties(call, driver)
    add_device(call.vm, members)
    return ""


def _properties(call: Call, driver: str) -> str:
    """The properties of a type, or why there are none."""
    from qshim.qom.types import qom_types
    from qshim.views.property_help import help_of

    label, target = call.vm.quirks.label, call.vm.target
    types = qom_types(label, target)
    if types is None:
        return f"device_add {driver},help is not modelled by qshim for {target}\n"
    if driver not in types.by_name:
        return f"Device '{driver}' not found\n"
    if types.by_name[driver].get("abstract") or not types.implements(driver, "device"):
        return "Parameter 'typename' expects a non-abstract device type\n"
    return help_of(label, target, "-device", driver) or f"device_add {driver},help is not modelled by qshim\n"


@HMP.command("device_del")
def device_del(call: Call) -> str:
    """Ask a device to leave."""
    ask(call.vm, "device_del", {"id": call.text("id")})
    return ""
