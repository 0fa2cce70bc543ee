"""Names of CPU registers in expressions (spec/monitor.md 5.5).

An x86 machine that has not run has the registers of a reset. Of others no state is held: a register that QEMU
may have is refused in a sentence of our own, any other in QEMU's words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qshim.monitor.hmp.cursor import LineError
from qshim.monitor.hmp.expression import Registers

if TYPE_CHECKING:
    from qshim.vm import Vm

__all__ = ["at_reset", "registers"]


def at_reset(vm: Vm) -> bool:
    """Whether the CPUs of *vm* are x86 ones on which nothing has ever run."""
    recording = vm.recording
    return vm.target in ("x86_64", "i386") and (recording is None or recording.when == "reset")


def registers(vm: Vm) -> Registers:
    """What an expression on *vm* asks for the value of a register."""

    def value(name: str) -> int:
        vm.build()
        if not vm.cpus:
            raise LineError("unknown register\n")
        if vm.target in ("x86_64", "i386"):
            from qshim.views.x86_reset import register

            try:
                found = register(vm, name)
            except KeyError:
                raise LineError(f"register ${name} has no value: nobody knows it of this CPU model\n") from None
            if found is None:
                raise LineError("unknown register\n")
            if at_reset(vm):
                return found
        elif not vm.quirks.registers_by_gdb_name or not name:
            # before 11.1 other targets had no names for expressions
            raise LineError("unknown register\n")
        raise LineError(f"register ${name} has no value: qshim holds no CPU state\n")

    return value
