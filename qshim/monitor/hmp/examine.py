"""HMP commands that read guest memory: x, xp, print, sum, and addresses (spec/monitor.md 5.4, 5.6)."""

from __future__ import annotations

from qshim.monitor.hmp.arguments import Format
from qshim.monitor.hmp.table import HMP, Call, plain_errors
from qshim.monitor.memory_ops import chunks, find_ram, physical, reached, stretch, system, virtual_is_physical
from qshim.monitor.registry import CommandError

__all__ = ["gpa2hpa", "gpa2hva", "gva2gpa", "print_", "shown_char", "sum_", "x", "xp"]

_UNTRANSLATED = "qshim holds no CPU state, so it cannot translate virtual addresses"
_MOST = 16 << 20
_AHEAD = 64 << 10
"""Bytes that are read at once."""
_WORD = 1 << 64


def _format(call: Call) -> Format:
    value = call.arguments["fmt"]
    assert isinstance(value, Format)
    return value


def shown_char(value: int) -> str:
    r"""A character constant as the monitor prints it.

    >>> shown_char(65), shown_char(10), shown_char(200)
    ("'A'", "'\\n'", "'\\xc8'")
    """
    names = {0x27: "\\'", 0x5C: "\\\\", 0x0A: "\\n", 0x0D: "\\r"}
    if value in names:
        return f"'{names[value]}'"
    return f"'{chr(value)}'" if 32 <= value <= 126 else f"'\\x{value & 0xFFFFFFFF:02x}'"


@HMP.command("print|p")
def print_(call: Call) -> str:
    """The value of an expression."""
    value, form = call.number("val"), _format(call).format
    word = value % _WORD
    if form == "o":
        return f"0{word:o}\n" if word else "0\n"
    if form == "x":
        return f"{word:#x}\n" if word else "0\n"
    if form == "u":
        return f"{word}\n"
    if form == "c":
        return f"{shown_char(word & 0xFFFFFFFF)}\n"
    return f"{value}\n"


@HMP.command("x")
def x(call: Call) -> str:
    """Memory at a virtual address."""
    if not call.vm.cpus:
        return "Can not dump without CPU\n"
    if not virtual_is_physical(call.vm):
        return f"{_UNTRANSLATED}; use xp\n"
    return _dump(call, 16, virtual=True)


@HMP.command("xp")
def xp(call: Call) -> str:
    """Memory at a physical address."""
    if not call.vm.cpus and _format(call).format == "i":
        return "Can not dump without CPU\n"
    return _dump(call, 8 if call.vm.quirks.xp_short_addresses else 16)


def _dump(call: Call, digits: int, virtual: bool = False) -> str:
    count, form, size = _format(call)
    addr = call.number("addr") % _WORD
    if form == "i":
        return _disassembled(call, addr, count, virtual)
    # a C int
    length = (size * count) & 0xFFFFFFFF
    if length >> 31:
        return ""
    if length > _MOST:
        return f"qshim prints {_MOST >> 20} MiB at once, not more\n"
    line = 8 if size == 1 else 16
    if form == "c":
        size = 1
    space = system(call.vm, call.monitor.cpu)
    order = "big" if call.vm.topology.big_endian else "little"
    octal_apart = call.vm.quirks.octal_zero_apart
    out: list[str] = []
    # most memory is zeros, so most lines say the same
    shown: dict[bytes, str] = {}
    ahead, at = b"", 0
    while length > 0:
        here = min(length, line)
        out.append(f"{addr:0{digits}x}:")
        try:
            if at + here > len(ahead):
                place = reached(call.vm, addr) if virtual else addr
                ahead, at = (b"", 0) if space is None else (stretch(space, place, min(length, _AHEAD)), 0)
            if at + here <= len(ahead):
                data: bytes | None = ahead[at : at + here]
                at += here
            else:
                ahead, at = b"", 0
                data = physical(space, place, here) if space is not None else None
        except CommandError as error:
            out.append(f" {error.desc}\n")
            break
        if data is None:
            out.append(" Cannot access memory\n")
            break
        text = shown.get(data)
        if text is None:
            values = [int.from_bytes(data[i : i + size], order) for i in range(0, here, size)]  # type: ignore[arg-type]
            text = "".join(f" {_value(value, form, size, octal_apart)}" for value in values) + "\n"
            if len(shown) < _AHEAD:
                shown[data] = text
        out.append(text)
        addr = (addr + here) % _WORD
        length -= here
    return "".join(out)


def _value(value: int, form: str, size: int, octal_apart: bool) -> str:
    bits = 8 * size
    if form == "c":
        return shown_char(value)
    if form == "o":
        width = -(-bits // 3)
        if octal_apart:
            return f"0{value:{width}o}"
        return f"{f'0{value:o}' if value else '0':>{width}}"
    if form == "x":
        return f"0x{value:0{bits // 4}x}"
    if form == "d" and size == 8 and value >> 63:
        value -= _WORD
    return f"{value:{-(-bits * 10 // 33)}d}"


def _disassembled(call: Call, addr: int, count: int, virtual: bool) -> str:
    from qshim.monitor.disassemble import disassemble

    vm = call.vm
    space = system(vm, call.monitor.cpu)
    if space is None:
        return ""
    return disassemble(
        vm, lambda at, length: physical(space, reached(vm, at) if virtual else at, length), addr, count
    )


@HMP.command("sum")
def sum_(call: Call) -> str:
    """The checksum of BSD's sum over physical memory; both numbers are 32 bits wide."""
    start, size = call.number("start"), call.number("size")
    total = 0
    if start + size < 1 << 32:
        for length, data in chunks(system(call.vm), start, size):
            if data is None:
                # zeros only rotate the 16 bits
                turns = length % 16
                total = (total >> turns | total << (16 - turns)) & 0xFFFF
                continue
            for byte in data:
                total = ((total >> 1 | total << 15) + byte) & 0xFFFF
    return f"{total:05d}\n"


@HMP.command("gpa2hva")
def gpa2hva(call: Call) -> str:
    """The host address of a guest physical one."""
    addr = call.number("addr") % _WORD

    def found() -> str:
        ram = find_ram(call.vm, addr)
        assert ram.region.ram_block is not None
        host = ram.region.ram_block.host + ram.offset
        return f"Host virtual address for {addr:#x} ({ram.region.name}) is {host:#x}\n"

    return plain_errors(found)


@HMP.command("gpa2hpa")
def gpa2hpa(call: Call) -> str:
    """The host physical address of a guest physical one; needs a page that is there, and privileges."""
    addr = call.number("addr") % _WORD

    def found() -> str:
        from qshim.memory.hostmem import physical_address

        ram = find_ram(call.vm, addr)
        assert ram.region.ram_block is not None
        try:
            host = physical_address(ram.region.ram_block.host + ram.offset)
        except OSError as error:
            return f"{error}\n"
        if host is None:
            return "Page not present\n"
        return f"Host physical address for {addr:#x} ({ram.region.name}) is {host:#x}\n"

    return plain_errors(found)


@HMP.command("gva2gpa")
def gva2gpa(call: Call) -> str:
    """The guest physical address of a virtual one; at reset they are the same."""
    if not call.vm.cpus:
        return "No cpu\n"
    if not virtual_is_physical(call.vm):
        return f"{_UNTRANSLATED}\n"
    addr = reached(call.vm, call.number("addr") % _WORD)
    return "gpa: 0\n" if not addr and not call.vm.quirks.zero_has_prefix else f"gpa: {addr:#x}\n"
