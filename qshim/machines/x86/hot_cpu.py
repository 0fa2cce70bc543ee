"""x86 CPUs that come while the machine runs: which place properties mean (spec/x86-boards.md 7)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from qshim.devices.chipset.cpu import X86Cpu
from qshim.devices.errors import DeviceError

if TYPE_CHECKING:
    from qshim.machines.x86.machine import X86Machine

__all__ = ["hot_cpu"]

_IDS = ("socket", "die", "module", "core", "thread")


def hot_cpu(machine: X86Machine, driver: str, name: str | None, properties: Mapping[str, str]) -> X86Cpu:
    """The CPU *driver* at the place that *properties* say.

    :raises DeviceError: the machine has no such place, or it is taken.
    """
    if driver != machine.cpu.type_name:
        raise DeviceError(f"Invalid CPU type, expected cpu type: '{machine.cpu.type_name}'")
    if "apic-id" in properties:
        raise DeviceError("qshim places CPUs by socket-id, core-id and thread-id, not by apic-id")
    index = _index(machine, properties)
    there = {device.index for device in machine.board.devices if isinstance(device, X86Cpu)}
    if index in there:
        raise DeviceError(f"CPU[{index}] with APIC ID {_apic_id(machine, index)} exists")
    cpu = X86Cpu(machine.board, driver, index, apic=machine.cpu.apic, device_id=name)
    cpu.properties.update(properties)
    return cpu


def _index(machine: X86Machine, properties: Mapping[str, str]) -> int:
    smp = machine.smp
    counts = {
        "socket": smp.sockets, "die": smp.dies, "module": smp.modules, "core": smp.cores, "thread": smp.threads,
    }  # fmt: skip
    index = 0
    for level in _IDS:
        text = properties.get(f"{level}-id")
        count = counts[level]
        number = -1 if text is None else int(text, 0)
        if number < 0 and level in ("die", "module") and count == 1:
            number = 0
        if number < 0:
            raise DeviceError(f"CPU {level}-id is not set")
        if number >= count:
            raise DeviceError(f"Invalid CPU {level}-id: {number} must be in range 0:{count - 1}")
        index = index * count + number
    return index


def _apic_id(machine: X86Machine, index: int) -> int:
    """Each level has as many bits as its count needs."""
    smp, place = machine.smp, machine.smp.place(index)
    number = shift = 0
    for level, count in (("thread", smp.threads), ("core", smp.cores), ("module", smp.modules), ("die", smp.dies)):
        number |= place[level] << shift
        shift += (count - 1).bit_length()
    return number | place["socket"] << shift
