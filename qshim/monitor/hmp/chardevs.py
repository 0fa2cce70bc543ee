"""HMP commands about character devices (spec/monitor.md 4.2, 5.6)."""

from __future__ import annotations

from qshim.argv import Chardev as Device
from qshim.argv import OptionError
from qshim.argv.chardev import parse_chardev
from qshim.argv.dialect import DIALECTS
from qshim.monitor import chardevs
from qshim.monitor.hmp.bridge import ask
from qshim.monitor.hmp.cursor import LineError
from qshim.monitor.hmp.table import HMP, Call
from qshim.monitor.registry import CommandError

__all__ = ["chardev_add", "chardev_change", "chardev_remove", "chardev_send_break", "ringbuf_read", "ringbuf_write"]

_TYPED = "chardev-add"


@HMP.command("chardev-add")
def chardev_add(call: Call) -> str:
    """Make a character device, as -chardev describes it."""
    device = _device(call, call.text("args"))
    if device.id in call.vm.chardevs:
        raise CommandError(f"attempt to add duplicate property '{device.id}' to object (type 'container')")
    return _redirected(chardevs.add(call.vm, device), device.id)


@HMP.command("chardev-change")
def chardev_change(call: Call) -> str:
    """Put another one in its place."""
    device = _device(call, f"{call.text('args')},id={call.text('id')}")
    if device.id not in call.vm.chardevs:
        raise CommandError(f"Chardev '{device.id}' does not exist")
    return _redirected(chardevs.change(call.vm, device), device.id)


def _device(call: Call, text: str) -> Device:
    try:
        device, _ = parse_chardev(_TYPED, text, DIALECTS[call.vm.quirks.label])
    except OptionError as error:
        said = error.reports[0].removeprefix(f"{_TYPED} {text}: ")
        if said.startswith(("Parameter 'id'", "Invalid parameter")):
            raise LineError(f"{said}\nError: Parsing chardev args failed\n") from None
        raise CommandError(said) from None
    if device.kind == "stdio":
        raise CommandError("cannot use stdio by multiple character devices")
    if device.mux:
        raise CommandError("chardev-add with mux=on is not modelled by qshim")
    if device.address is not None:
        device = device._replace(address=device.address._replace(wait=False))
    return device._replace(option="")


def _redirected(filename: str, label: str) -> str:
    if not filename.startswith("pty:"):
        return ""
    return f"char device redirected to {filename.removeprefix('pty:')} (label {label})\n"


@HMP.command("chardev-remove")
def chardev_remove(call: Call) -> str:
    """Remove a character device."""
    ask(call.vm, "chardev-remove", {"id": call.text("id")})
    return ""


@HMP.command("chardev-send-break")
def chardev_send_break(call: Call) -> str:
    """Send a break to whoever uses it."""
    ask(call.vm, "chardev-send-break", {"id": call.text("id")})
    return ""


@HMP.command("ringbuf_write")
def ringbuf_write(call: Call) -> str:
    """Put text into a ring buffer."""
    ask(call.vm, "ringbuf-write", {"device": call.text("device"), "data": call.text("data")})
    return ""


@HMP.command("ringbuf_read")
def ringbuf_read(call: Call) -> str:
    """Take text out of a ring buffer: control characters but line ends are spelled out."""
    data = str(ask(call.vm, "ringbuf-read", {"device": call.text("device"), "size": call.number("size")}))
    out = []
    for char in data:
        if char == "\\":
            out.append("\\\\")
        elif (char < " " and char not in "\n\t") or char == "\x7f":
            out.append(f"\\u{ord(char):04X}")
        else:
            out.append(char)
    return "".join(out) + "\n"
