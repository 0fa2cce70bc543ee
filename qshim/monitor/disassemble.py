"""`x/i`: instructions as QEMU's monitor prints them, by the same library (the extra `disas`: capstone).

Which instructions a CPU would read depends on its mode. At reset x86 is in real mode; the other
targets' modes depend on the CPU model, which qshim does not know well enough.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qshim.vm import Vm

__all__ = ["disassemble"]

_READ_AHEAD = 32
_SHOWN_BYTES = 8
_MOST = 1 << 16
_WORD = 1 << 64


def disassemble(vm: Vm, memory: Callable[[int, int], bytes | None], addr: int, count: int) -> str:
    """*count* instructions from *addr*; *memory* (address, length) gives bytes, None for what is not there.

    One clear sentence where that cannot be done.
    """
    if vm.target not in ("x86_64", "i386"):
        return f"qshim disassembles for x86 only, not for {vm.target}\n"
    try:
        capstone: Any = importlib.import_module("capstone")
    except ImportError:
        return "qshim disassembles with capstone, which is not installed: pip install 'qshim[disas]'\n"
    if count > _MOST:
        return f"qshim disassembles {_MOST} instructions at once, not more\n"
    machine = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_16)
    machine.syntax = capstone.CS_OPT_SYNTAX_ATT
    machine.skipdata = True
    lines: list[str] = []
    # like QEMU: one instruction even if none was asked for
    for _ in range(max(count, 1)):
        data = memory(addr, _READ_AHEAD) or bytes(_READ_AHEAD)
        instruction = next(machine.disasm(data, addr, 1), None)
        if instruction is None:
            break
        lines += _printed(instruction)
        addr = (addr + instruction.size) % _WORD
    return "".join(lines)


def _printed(instruction: Any) -> list[str]:
    data = instruction.bytes
    first = "".join(f" {byte:02x}" for byte in data[:_SHOWN_BYTES]).ljust(3 * _SHOWN_BYTES)
    lines = [f"0x{instruction.address:08x}: {first}  {instruction.mnemonic:<8} {instruction.op_str}\n"]
    for at in range(_SHOWN_BYTES, len(data), _SHOWN_BYTES):
        rest = "".join(f" {byte:02x}" for byte in data[at : at + _SHOWN_BYTES])
        lines.append(f"0x{instruction.address + at:08x}: {rest}\n")
    return lines
