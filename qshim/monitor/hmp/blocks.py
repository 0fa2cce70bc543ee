"""HMP commands about block devices, which qshim's machines have as drives without media, or not at all."""

from __future__ import annotations

from typing import Any

from qshim.monitor.hmp.bridge import ask_list
from qshim.monitor.hmp.table import HMP, Call
from qshim.monitor.registry import CommandError

__all__ = ["info_block"]


@HMP.command("info block")
def info_block(call: Call) -> str:
    """The block devices, or the one that is named; there are no block nodes."""
    if call.flag("nodes"):
        return ""
    device = call.maybe_text("device")
    listed = ask_list(call.vm, "query-block")
    return "".join(
        ("\n" if at else "") + _drive(each) for at, each in enumerate(listed) if device in (None, each["device"])
    )


def _drive(info: dict[str, Any]) -> str:
    if info.get("inserted"):
        raise CommandError(f"info block is not modelled by qshim for '{info['device']}', which has a medium")
    text = f"{info['device'] or info.get('qdev', '<anonymous>')}: [not inserted]\n"
    if "qdev" in info:
        text += f"    Attached to:      {info['qdev']}\n"
    if info.get("io-status", "ok") != "ok":
        text += f"    I/O status:       {info['io-status']}\n"
    if info["removable"]:
        locked, tray = "" if info["locked"] else "not ", "open" if info.get("tray_open") else "closed"
        text += f"    Removable device: {locked}locked, tray {tray}\n"
    return text
