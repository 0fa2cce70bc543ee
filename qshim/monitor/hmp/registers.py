"""Names of CPU registers in expressions (spec/monitor.md 5.5).

No machine of qshim has CPU state: a register that QEMU has is refused in a sentence of our own, any
other in QEMU's words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qshim.monitor.hmp.cursor import LineError
from qshim.monitor.hmp.expression import Registers

if TYPE_CHECKING:
    from qshim.vm import Vm

__all__ = ["registers"]

_SEGMENTS = ("cs", "ds", "es", "ss", "fs", "gs")
_NUMBERED = tuple(f"r{n}" for n in range(8, 16))
_MONITOR_NAMES = frozenset(
    ("eax", "ecx", "edx", "ebx", "esp", "sp", "ebp", "fp", "esi", "edi", *_NUMBERED, "eip", "eflags", "pc",
     *_SEGMENTS, *(f"{s}.limit" for s in _SEGMENTS), *(f"{s}.base" for s in _SEGMENTS))
)  # fmt: skip
_GDB_NAMES = frozenset(
    ("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", *_NUMBERED, "rip", "eflags", "pc", *_SEGMENTS,
     *(f"{s}.limit" for s in _SEGMENTS), "fs_base", "gs_base", "k_gs_base", "cr0", "cr2", "cr3", "cr4", "cr8",
     "efer", "fctrl", "mxcsr")
)  # fmt: skip


def registers(vm: Vm) -> Registers:
    """What an expression on *vm* asks for the value of a register."""

    def value(name: str) -> int:
        names = _GDB_NAMES if vm.quirks.registers_by_gdb_name else _MONITOR_NAMES
        vm.build()
        known = name in names or (vm.target not in ("x86_64", "i386") and bool(name))
        if not known or not vm.cpus:
            raise LineError("unknown register\n")
        raise LineError(f"register ${name} has no value: qshim holds no CPU state\n")

    return value
