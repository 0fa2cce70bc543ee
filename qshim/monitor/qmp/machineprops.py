"""Properties of /machine that its command line and its kind decide (asked of 7.2, 10.0 and 11.1).

For what nobody set the values are known: those that every machine begins with, and those of PCs.
"""

from __future__ import annotations

import time
from collections.abc import Container, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from qshim.monitor.qmp.extensions import schema_for
from qshim.monitor.registry import CommandError

if TYPE_CHECKING:
    from qshim.vm import Vm

__all__ = ["MISSING", "machine_property", "set_machine_property"]

MISSING = object()
"""Nobody knows."""

_EVERY: Mapping[str, object] = {
    "suppress-vmdesc": False, "dump-guest-core": True, "mem-merge": True, "kernel": "", "append": "", "initrd": "",
    "dtb": "", "dumpdtb": "", "dt-compatible": "", "phandle-start": 0, "memory-encryption": "",
    "confidential-guest-support": "", "graphics": True, "usb": False,
}  # fmt: skip
_PC: Mapping[str, object] = {
    "smm": "auto", "boot": {"order": "cad"}, "acpi": "auto", "pit": "auto", "hpet": True, "smbus": True, "sata": True,
    "i8042": True, "nvdimm": False, "vmport": "on", "default-bus-bypass-iommu": False,
    "x-oem-id": "BOCHS ", "x-oem-table-id": "BXPC    ", "fd-bootchk": True, "max-fw-size": 8388608,
}  # fmt: skip
_PCS = ("pc", "q35", "isapc", "microvm")
_SWITCHES = ("suppress-vmdesc", "dump-guest-core", "mem-merge")
"""What may be set at any time, and concerns the host or a migration alone."""
_OPTIONS = {
    "kernel": "kernel", "append": "append", "initrd": "initrd", "dtb": "dtb", "boot": "boot", "smp": "smp", "rtc-time":
    "rtc",
}  # fmt: skip
"""Properties that an option sets, whatever it says."""

_SET: WeakKeyDictionary[Vm, dict[str, bool]] = WeakKeyDictionary()


def machine_property(vm: Vm, name: str, kind: str, backends: Container[str]) -> object:
    """The value of *name*, which has type *kind*; `MISSING` where nobody knows. *backends*: ids of memory backends."""
    kept = _SET.get(vm, {})
    if name in kept:
        return kept[name]
    if name in ("pflash0", "pflash1"):
        return "" if vm.preconfig is not None else MISSING
    if name == "memory":
        return _memory(vm)
    if name == "memory-backend":
        return _memory_backend(vm, backends)
    if name == "rtc-time":
        return _rtc_time(vm)
    given = _given(vm)
    if name in given:
        return _typed(given[name], kind)
    if vm.machine_model is not None and (found := _of_the_board(vm.machine_model, name)) is not MISSING:
        return found
    if name == "smp" and vm.cpus <= 1:
        return dict.fromkeys(vm.quirks.smp_members, 1)
    if vm.machine.startswith("pc-") and name in _PC:
        return _PC[name]
    return _EVERY.get(name, MISSING)


def _given(vm: Vm) -> dict[str, str]:
    """What the command line says of the machine: property -> text; without one where only an option sets it."""
    line = vm.command_line
    if line is not None:
        given = dict(line.machine_properties)
        if line.clock:
            given["rtc-time"] = ""
        return given
    words = vm.recording.argv if vm.recording is not None else ()
    given = {}
    for option, value in pairwise(words):
        if option in ("-M", "-machine"):
            given |= {key: text for key, _, text in (part.partition("=") for part in value.split(",")) if text}
    return given | {name: "" for name, option in _OPTIONS.items() if f"-{option}" in words}


def _typed(text: str, kind: str) -> object:
    """The text that a user wrote, as a value."""
    if kind == "bool":
        return text in ("on", "yes", "true", "y")
    return text if kind in ("OnOffAuto", "string", "str") and text else MISSING


def _of_the_board(machine: Any, name: str) -> object:
    """What a modelled board tells of itself."""
    line = machine.request.line
    if name == "boot" and machine.family in _PCS:
        values: dict[str, object] = {"order": "cad", **dict(line.boot)}
        for key in ("menu", "strict"):
            if key in values:
                values[key] = values[key] in ("on", "yes", "true", "y")
        return values | {key: int(str(values[key])) for key in ("splash-time", "reboot-timeout") if key in values}
    if name == "smp":
        smp = machine.smp
        known = {
            "cpus": smp.cpus, "maxcpus": smp.max_cpus, "sockets": smp.sockets, "dies": smp.dies, "cores": smp.cores,
            "modules": getattr(smp, "modules", 1), "threads": smp.threads,
        }  # fmt: skip
        return {member: known.get(member, 1) for member in machine.quirks.smp_members}
    if name == "firmware" and machine.family in _PCS:
        return machine.plan.bios or machine.default_bios[0]
    return MISSING


def _memory(vm: Vm) -> object:
    """The sizes of -m; slots and the most there can be are told where there are slots."""
    machine: Any = vm.machine_model
    if machine is not None:
        slots = machine.plan.slots
        return {"size": machine.ram_size, **({"max-size": machine.max_memory, "slots": slots} if slots else {})}
    argv = vm.recording.argv if vm.recording is not None else ()
    summary = vm.recorded("query-memory-size-summary")
    if not isinstance(summary, Mapping) or vm.recorded("query-memory-devices") or any("maxmem" in a for a in argv):
        return MISSING
    return {"size": summary["base-memory"]}


def _memory_backend(vm: Vm, backends: Container[str]) -> object:
    """The object that main memory is made of."""
    chosen = _given(vm).get("memory-backend")
    if vm.preconfig is not None:
        return "" if chosen is None else MISSING
    if chosen is None:
        told: Any = vm.recorded("query-machines") or schema_for(vm).machines
        chosen = next((m.get("default-ram-id") for m in told if m["name"] == vm.machine), None)
    return f"/objects/{chosen}" if chosen in backends else MISSING


def _rtc_time(vm: Vm) -> object:
    """What the clock of a PC shows: UTC, unless the command line sets another."""
    if _given(vm).get("rtc-time") is not None:
        return MISSING
    now = time.gmtime()
    return {
        "tm_year": now.tm_year - 1900, "tm_mon": now.tm_mon - 1, "tm_mday": now.tm_mday, "tm_hour": now.tm_hour,
        "tm_min": now.tm_min, "tm_sec": now.tm_sec,
    }  # fmt: skip


def set_machine_property(vm: Vm, name: str, value: object) -> bool:
    """Set a switch; False for anything else.

    :raises CommandError: the value is none for a switch.
    """
    if name not in _SWITCHES:
        return False
    if not isinstance(value, bool):
        raise CommandError(f"Invalid parameter type for '{name}', expected: boolean")
    _SET.setdefault(vm, {})[name] = value
    return True
