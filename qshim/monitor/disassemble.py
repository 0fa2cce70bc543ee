"""`x/i`: instructions as QEMU's monitor prints them, by the same library (the extra `disas`: capstone).

Which instructions a CPU would read depends on its mode. At reset x86 is in real mode and an Arm CPU in the widest state
that it has, A64 or A32; a Cortex-M is in Thumb state only if the first vector in memory says so, and memory that nobody
wrote does not. For RISC-V QEMU has a disassembler of its own.

Memory is read into a window of 32 bytes: first up to the next KiB, then as much as instructions have left free. What
cannot be read ends the listing, even if the next instruction lies in front of it (seen on 7.2, 10.0 and 11.1).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from qshim.vm import Vm

__all__ = ["disassemble"]

_WINDOW, _KIB = 32, 1024
_SHOWN_BYTES = 8
"""Bytes on a line of an x86 instruction."""
_MOST = 1 << 16
_WORD = 1 << 64

Memory = Callable[[int, int], bytes | None]


class _Mode(NamedTuple):
    arch: str
    mode: str
    """Of capstone's names CS_ARCH_... and CS_MODE_..."""
    words: bool
    """Whether an instruction is printed as one number of four bytes."""


_I8086 = _Mode("X86", "16", False)
_A64, _A32 = _Mode("ARM64", "LITTLE_ENDIAN", True), _Mode("ARM", "ARM", True)
_WITHOUT_A64 = (
    "arm", "cortex-a7-", "cortex-a8-", "cortex-a9-", "cortex-a15-", "cortex-m", "cortex-r", "pxa", "sa1", "ti925t",
)  # fmt: skip
"""How names of CPU types begin, with the `-` behind their number."""


def disassemble(vm: Vm, memory: Memory, addr: int, count: int) -> str:
    """*count* instructions from *addr*; *memory* (address, length) gives bytes, None for what is not there.

    One clear sentence where that cannot be done.
    """
    mode = _mode(vm)
    if mode is None:
        return f"qshim disassembles for x86 and Arm only, not for {vm.target}\n"
    try:
        capstone: Any = importlib.import_module("capstone")
    except ImportError:
        return "qshim disassembles with capstone, which is not installed: pip install 'qshim[disas]'\n"
    if count > _MOST:
        return f"qshim disassembles {_MOST} instructions at once, not more\n"
    machine = capstone.Cs(getattr(capstone, f"CS_ARCH_{mode.arch}"), getattr(capstone, f"CS_MODE_{mode.mode}"))
    if mode.arch == "X86":
        machine.syntax = capstone.CS_OPT_SYNTAX_ATT
    machine.skipdata = True
    return _listing(machine, mode.words, memory, addr, count)


def _mode(vm: Vm) -> _Mode | None:
    if vm.target in ("x86_64", "i386"):
        return _I8086
    if vm.target not in ("aarch64", "arm"):
        return None
    return _A32 if vm.target == "arm" or _cpu_type(vm).startswith(_WITHOUT_A64) else _A64


def _cpu_type(vm: Vm) -> str:
    """The QOM type of the first CPU; empty where there is none or nobody knows it."""
    from qshim.monitor.hmp.bridge import ask_list

    for cpu in ask_list(vm, "query-cpus-fast"):
        found = vm.qom.at(str(cpu["qom-path"])) if vm.qom is not None else None
        return found.type_name if found is not None else ""
    return ""


def _listing(machine: Any, words: bool, memory: Memory, addr: int, count: int) -> str:
    lines: list[str] = []
    window = b""
    # like QEMU: one instruction even if none was asked for
    left = max(count, 1)
    while left:
        end = addr + len(window)
        data = memory(end % _WORD, min(_WINDOW - len(window), _KIB - end % _KIB))
        if data is None:
            lines.append(f"0x{addr:08x}: unable to read memory\n")
            break
        window += data
        instruction = next(machine.disasm(window, addr, 1), None)
        if instruction is None:
            continue
        lines += _printed(instruction, words)
        window = window[instruction.size :]
        addr = (addr + instruction.size) % _WORD
        left -= 1
    return "".join(lines)


def _printed(instruction: Any, words: bool) -> list[str]:
    data = bytes(instruction.bytes)
    if words:
        shown = f" {int.from_bytes(data, 'little'):08x}"
    else:
        shown = "".join(f" {byte:02x}" for byte in data[:_SHOWN_BYTES]).ljust(3 * _SHOWN_BYTES)
    lines = [f"0x{instruction.address:08x}: {shown}  {instruction.mnemonic:<8} {instruction.op_str}\n"]
    for at in range(_SHOWN_BYTES, len(data), _SHOWN_BYTES):
        rest = "".join(f" {byte:02x}" for byte in data[at : at + _SHOWN_BYTES])
        lines.append(f"0x{instruction.address + at:08x}: {rest}\n")
    return lines
