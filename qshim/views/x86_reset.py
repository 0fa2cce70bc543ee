"""CPU registers of a PC after a reset, which is where they stay: no guest runs (spec/monitor.md 5.5, 5.6).

They are the architecture's reset values (Intel SDM 3A, 9.1); the signature in EDX is the CPU model's
(data/cpu-signatures.json, asked of real QEMUs by tests/tools/extract_lists.py).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qshim.vm import Vm

__all__ = ["register", "registers_text", "signature"]

_SEGMENTS = ("es", "cs", "ss", "ds", "fs", "gs")
_CODE_BASE, _CODE_SELECTOR, _START, _LIMIT = 0xFFFF0000, 0xF000, 0xFFF0, 0xFFFF
_CR0, _FLAGS, _FPU_CONTROL, _MXCSR = 0x60000010, 2, 0x37F, 0x1F80
_DR6, _DR7 = 0xFFFF0FF0, 0x400
_FPU = ("fstat", "ftag", "fiseg", "fioff", "foseg", "fooff", "fop")
_WORDS = ("ax", "bx", "cx", "dx", "si", "di", "bp", "sp")


@cache
def _signatures(label: str) -> dict[str, int]:
    import json

    data = json.loads((Path(__file__).parents[1] / "data" / "cpu-signatures.json").read_text("utf-8"))
    return {**data["models"], **data.get(label, {})}


def signature(vm: Vm) -> int | None:
    """Family, model and stepping of the CPUs of *vm*; None where nobody knows."""
    types = {each.type_name for each in vm.qom.walk()} if vm.qom is not None else set()
    suffix = f"-{vm.target}-cpu"
    models = [name.removesuffix(suffix) for name in types if name.endswith(suffix)]
    return _signatures(vm.quirks.label).get(models[0]) if len(models) == 1 else None


def register(vm: Vm, name: str) -> int | None:
    """The value of the register that expressions of HMP call *name*, 64 bits with a sign; None: there is none.

    :raises KeyError: it holds the signature of a CPU model that nobody knows.
    """
    narrow = vm.target == "i386"
    gdb = vm.quirks.registers_by_gdb_name
    values = {"eflags": _FLAGS, "pc": _CODE_BASE + _START, **dict.fromkeys(_SEGMENTS, 0), "cs": _CODE_SELECTOR}
    values |= {f"{segment}.limit": _LIMIT for segment in _SEGMENTS}
    prefix = "r" if gdb and not narrow else "e"
    values |= {f"{prefix}{word}": 0 for word in _WORDS} | {f"{prefix}ip": _START}
    if not narrow:
        values |= {f"r{number}": 0 for number in range(8, 16)}
    if gdb:
        values |= {"fs_base": 0, "gs_base": 0, "k_gs_base": 0, "cr0": _CR0, "cr2": 0, "cr3": 0, "cr4": 0, "cr8": 0}
        values |= {"efer": 0, "fctrl": _FPU_CONTROL, "mxcsr": _MXCSR, **dict.fromkeys(_FPU, 0)}
    else:
        values |= {"sp": 0, "fp": 0, **{f"{segment}.base": 0 for segment in _SEGMENTS}, "cs.base": _CODE_BASE}
    if name == f"{prefix}dx":
        found = signature(vm)
        if found is None:
            raise KeyError(name)
        return found
    value = values.get(name)
    # a register of 32 bits is a signed number to an emulator of 32 bits, and to all since 11.1
    if value is not None and value >> 31 and (narrow or (gdb and name == "pc")):
        return value - (1 << 32)
    return value


def registers_text(vm: Vm, index: int, edx: int) -> str:
    """`info registers` of CPU *index*, whose signature is *edx*."""
    lines = [
        "",
        f"CPU#{index}",
        f"EAX=00000000 EBX=00000000 ECX=00000000 EDX={edx:08x}",
        "ESI=00000000 EDI=00000000 EBP=00000000 ESP=00000000",
        # only the first CPU starts by itself
        f"EIP={_START:08x} EFL={_FLAGS:08x} [-------] CPL=0 II=0 A20=1 SMM=0 HLT={int(index > 0)}",
    ]
    for segment in _SEGMENTS:
        code = segment == "cs"
        start = f"{_CODE_SELECTOR:04x} {_CODE_BASE:08x}" if code else "0000 00000000"
        lines.append(f"{segment.upper()} ={start} {_LIMIT:08x} 0000{0x9B if code else 0x93:02x}00")
    digits = 8 if vm.target == "i386" else 16
    debug = "".join(f"DR{number}={0:0{digits}x} " for number in range(4))
    lines += [
        f"LDT=0000 00000000 {_LIMIT:08x} 00008200",
        f"TR =0000 00000000 {_LIMIT:08x} 00008b00",
        f"GDT=     00000000 {_LIMIT:08x}",
        f"IDT=     00000000 {_LIMIT:08x}",
        f"CR0={_CR0:08x} CR2=00000000 CR3=00000000 CR4=00000000",
        debug,
        f"DR6={_DR6:0{digits}x} DR7={_DR7:0{digits}x}",
        f"EFER={0:016x}",
        f"FCW={_FPU_CONTROL:04x} FSW=0000 [ST=0] FTW=00 MXCSR={_MXCSR:08x}",
    ]
    zero = f"{0:016x}"
    lines += [f"FPR{n}={zero} 0000 FPR{n + 1}={zero} 0000" for n in range(0, 8, 2)]
    lines += [f"XMM{n:02}={zero} {zero} XMM{n + 1:02}={zero} {zero}" for n in range(0, 8, 2)]
    return "".join(f"{line}\n" for line in lines)
