"""HMP commands that write guest memory to files."""

from __future__ import annotations

from qshim.monitor.hmp.bridge import ask
from qshim.monitor.hmp.table import HMP, Call
from qshim.monitor.memory_ops import memsave, pmemsave
from qshim.monitor.registry import CommandError

__all__ = ["dump_guest_memory", "info_dump", "save_physical", "save_virtual"]

_FORMATS = (("zlib", "kdump-zlib"), ("lzo", "kdump-lzo"), ("snappy", "kdump-snappy"), ("windmp", "win-dmp"))


@HMP.command("memsave")
def save_virtual(call: Call) -> str:
    """Save memory at a virtual address of the monitor's CPU."""
    if not call.vm.cpus:
        return "No CPU available\n"
    memsave(call.vm, call.number("val"), call.number("size"), call.text("filename"), call.monitor.cpu)
    return ""


@HMP.command("pmemsave")
def save_physical(call: Call) -> str:
    """Save memory at a physical address."""
    pmemsave(call.vm, call.number("val"), call.number("size"), call.text("filename"))
    return ""


@HMP.command("dump-guest-memory")
def dump_guest_memory(call: Call) -> str:
    """Dump the guest's memory to a file."""
    chosen = [name for flag, name in _FORMATS if call.flag(flag)]
    if len(chosen) > 1:
        raise CommandError("only one of '-z|-l|-s|-w' can be set")
    if call.flag("raw") and chosen and chosen[0].startswith("kdump-"):
        chosen = [chosen[0].replace("kdump-", "kdump-raw-")]
    arguments: dict[str, object] = {
        "paging": call.flag("paging"),
        "protocol": f"file:{call.text('filename')}",
        "detach": call.flag("detach"),
        "format": chosen[0] if chosen else "elf",
    }
    for name in ("begin", "length"):
        value = call.maybe_number(name)
        if value is not None:
            arguments[name] = value
    ask(call.vm, "dump-guest-memory", arguments)
    return ""


@HMP.command("info dump")
def info_dump(call: Call) -> str:
    """How far the last dump is."""
    told = ask(call.vm, "query-dump")
    text = f"Status: {told['status']}\n"
    if told["status"] == "active":
        text += f"Finished: {100.0 * told['completed'] / told['total']:.2f} %\n"
    return text
