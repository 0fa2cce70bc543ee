"""HMP's device_add and device_del."""

from __future__ import annotations

from qshim.monitor.hmp.bridge import ask
from qshim.monitor.hmp.table import HMP, Call

__all__ = ["device_add", "device_del"]


@HMP.command("device_add")
def device_add(call: Call) -> str:
    """Plug a device that is described as `-device` does."""
    from qshim.monitor.hmp.keyval import parsed_opts
    from qshim.monitor.qmp.devices import add_device

    members = parsed_opts(call.text("device"), "driver")
    if members.keys() & {"help", "?"} or members.get("driver") in ("help", "?"):
        return "device_add help is not modelled by qshim\n"
    add_device(call.vm, members)
    return ""


@HMP.command("device_del")
def device_del(call: Call) -> str:
    """Ask a device to leave."""
    ask(call.vm, "device_del", {"id": call.text("id")})
    return ""
