"""`info irq`, `info pic`, `info lapic`: interrupt controllers of a PC whose guest never runs (spec/monitor.md 5.6).

Which controllers there are is told by the object tree. Their registers are those after a reset; the only
interrupt that was ever raised is that of the HPET's reset.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qshim.vm import Vm

__all__ = ["irq_text", "lapic_text", "pic_text"]

_PIC, _IOAPIC = "isa-i8259", "ioapic"
_ORDER = (_IOAPIC, "pic1", "pic0")
_PINS = 24
_PIC_LINE = "irr=00 imr=00 isr=00 hprio=0 irq_base=00 rr_sel=0 elcr=00 fnm=0"
_PIN = "0x0000000000010000 dest=0 vec=0   active-hi edge  masked fixed  physical"
_LVT = "0x00010000 active-hi edge  masked"


def _controllers(vm: Vm) -> list[str]:
    """The controllers of *vm*, in the order in which QEMU comes by.

    That is a matter of hash tables; it was seen on boards with one CPU and without memory slots, and others differ.
    """
    there = Counter(each.type_name for each in vm.qom.walk()) if vm.qom is not None else Counter[str]()
    order = vm.quirks.q35_interrupt_order if vm.machine.startswith("pc-q35-") else _ORDER
    found = [name for name in order if there[_PIC if name.startswith("pic") else _IOAPIC]]
    return found + [_IOAPIC] * (there[_IOAPIC] - 1)


def irq_text(vm: Vm) -> str:
    """How often each interrupt was raised."""
    vm.build()
    timer = vm.qom is not None and any(each.type_name == "hpet" for each in vm.qom.walk())
    times = 1 + (vm.resets if vm.quirks.resets_raise_timer else 0)
    counts = f" 0: {times}\n" if timer else ""
    # the secondary i8259 counts for the primary one
    names = [_PIC if name == "pic0" else name for name in _controllers(vm) if name != "pic1"]
    return "".join(f"IRQ statistics for {name}:\n{counts}" for name in names)


def pic_text(vm: Vm) -> str:
    """The registers of the interrupt controllers."""
    vm.build()
    pins = "".join(f"  pin {pin:<2} {_PIN}\n" for pin in range(_PINS))
    ioapic = f"ioapic0: ver=0x20 id=0x00 sel=0x00\n{pins}  IRR      (none)\n  Remote IRR (none)\n"
    return "".join(ioapic if name == _IOAPIC else f"{name}: {_PIC_LINE}\n" for name in _controllers(vm))


def lapic_text(index: int) -> str:
    """The registers of the local APIC of CPU *index*."""
    lines = [f"dumping local APIC state for CPU {index} \n"]
    lines += [f"{name}\t {_LVT}{'':22}Fixed  (vec 0)" for name in ("LVT0", "LVT1", "LVTPC", "LVTERR", "LVTTHMR")]
    lines += [
        f"LVTT\t {_LVT}         one-shot     Fixed  (vec 0)",
        "Timer\t DCR=0x0 (divide by 2) initial_count = 0 current_count = 0",
        "SPIV\t 0x000000ff APIC disabled, focus=off, spurious vec 255",
        "ICR\t 0x00000000 physical edge de-assert no-shorthand",
        "ICR2\t 0x00000000 cpu 0 (APIC ID)",
        "ESR\t 0x00000000",
        "ISR\t (none)",
        "IRR\t (none)",
        "",
        "APR 0x00 TPR 0x00 DFR 0x0f LDR 0x00 PPR 0x00",
    ]
    return "\n".join(lines) + "\n"
