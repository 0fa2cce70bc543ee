"""HMP's `i` and `o`: I/O ports (spec/monitor.md 5.6)."""

from __future__ import annotations

from qshim.memory import AddressSpace
from qshim.memory.access import read, write
from qshim.monitor.hmp.arguments import Format
from qshim.monitor.hmp.table import HMP, Call
from qshim.monitor.memory_ops import NoAnswer, unanswering

__all__ = ["read_port", "write_port"]

_LETTERS = {2: "w", 4: "l"}
_PORTS = 0xFFFF
_DEAF = frozenset({"ioport80"})
"""Regions that drop what is written to them, in QEMU, too."""


@HMP.command("i")
def read_port(call: Call) -> str:
    """Read a port. With an index, that is written to it first and the next port is read."""
    fmt = call.arguments["fmt"]
    assert isinstance(fmt, Format)
    addr = call.number("addr")
    index = call.maybe_number("index")
    if index is not None:
        _write(call, addr & _PORTS, index & 0xFF, 1)
        addr += 1
    addr &= _PORTS
    size = fmt.size if fmt.size in _LETTERS else 1
    value = _read(call, addr, size)
    width = 2 * fmt.size
    shown = f"{value:<2x}" if fmt.size < 0 else f"{value:0{width}x}"
    return f"port{_LETTERS.get(size, 'b')}[0x{addr:04x}] = 0x{shown}\n"


@HMP.command("o")
def write_port(call: Call) -> str:
    """Write a port; prints nothing."""
    fmt = call.arguments["fmt"]
    assert isinstance(fmt, Format)
    size = fmt.size if fmt.size in _LETTERS else 1
    _write(call, call.number("addr") & _PORTS, call.number("val") & ((1 << 8 * size) - 1), size)
    return ""


def _ports(call: Call) -> AddressSpace | None:
    return next((space for space in call.vm.topology.spaces if space.name == "I/O"), None)


def _read(call: Call, addr: int, size: int) -> int:
    space = _ports(call)
    if space is None:
        return (1 << 8 * size) - 1
    silent = unanswering(space, addr, size)
    if silent is not None:
        raise NoAnswer(f"qshim does not model the registers of '{silent.name}', which answers at port {addr:#x}")
    if not _inhabited(space, addr):
        return (1 << 8 * size) - 1
    return int.from_bytes(read(space, addr, size)[0], "little")


def _write(call: Call, addr: int, value: int, size: int) -> None:
    space = _ports(call)
    if space is None or not _inhabited(space, addr):
        return
    silent = unanswering(space, addr, size)
    if silent is not None:
        if silent.name in _DEAF:
            return
        raise NoAnswer(f"qshim does not model the registers of '{silent.name}', which answers at port {addr:#x}")
    write(space, addr, value.to_bytes(size, "little"))


def _inhabited(space: AddressSpace, addr: int) -> bool:
    """Whether a device is there, not just the root of all ports."""
    found = space.view.find(addr)
    return found is not None and found.region is not space.root
