"""Properties of /machine that its command line and its kind decide (asked of 7.2, 10.0 and 11.1).

For what nobody set the values are those that real machines of each type told.
"""

from __future__ import annotations

import time
from collections.abc import Container, Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from qshim.monitor.qmp.extensions import schema_for
from qshim.monitor.registry import CommandError
from qshim.qom import RegionObject

if TYPE_CHECKING:
    from qshim.qom import QomObject
    from qshim.vm import Vm

__all__ = ["MISSING", "machine_property", "set_machine_property"]

MISSING = object()
"""Nobody knows."""

_PCS = ("pc", "q35", "isapc")
_SWITCHES = ("suppress-vmdesc", "dump-guest-core", "mem-merge")
"""What may be set at any time, and concerns the host or a migration alone."""
_LINKS = ("acpi-device", "rtc_state", "smram")
_OPTIONS = {
    "kernel": "kernel", "append": "append", "initrd": "initrd", "dtb": "dtb", "boot": "boot", "smp": "smp", "rtc-time":
    "rtc",
}  # fmt: skip
"""Properties that an option sets, whatever it says."""

_CHOOSING = {"gic-version": ("max", "host")}
"""Values that stand for another one, which the property tells."""
_NO = ("off", "no", "false", "n")
_DECIDING: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "vmport": {"i8042": _NO},
    "its": {"gic-version": (), "msi": ()},
    "msi": {"gic-version": (), "its": ()},
    **{name: {"highmem": _NO} for name in ("highmem-ecam", "highmem-mmio", "highmem-redists", "compact-highmem")},
}
"""Property -> others that decide about it as well, and with which values (none: any)."""

_SET: WeakKeyDictionary[Vm, dict[str, bool]] = WeakKeyDictionary()


def machine_property(vm: Vm, name: str, kind: str, backends: Container[str]) -> object:
    """The value of *name*, which has type *kind*; `MISSING` where nobody knows. *backends*: ids of memory backends."""
    kept = _SET.get(vm, {})
    if name in kept:
        return kept[name]
    if name in ("pflash0", "pflash1") and vm.preconfig is not None:
        return ""
    if name == "memory":
        return _memory(vm)
    if name == "memory-backend":
        return _memory_backend(vm, backends)
    if name == "rtc-time":
        return _rtc_time(vm)
    given = _given(vm)
    if name == "boot" and vm.command_line is not None and vm.command_line.boot and vm.machine_model is not None:
        return _of_the_board(vm.machine_model, name)
    if name in given:
        return _typed(given[name], kind) if given[name] not in _CHOOSING.get(name, ()) else MISSING
    deciding = _DECIDING.get(name, {}).items()
    if any(other in given and (not values or given[other] in values) for other, values in deciding):
        return MISSING
    if vm.machine_model is not None and (found := _of_the_board(vm.machine_model, name)) is not MISSING:
        return found
    if name == "smp" and vm.cpus <= 1:
        return dict.fromkeys(vm.quirks.smp_members, 1)
    return _recorded(vm, name)


@cache
def _values(label: str, target: str) -> Mapping[str, Any]:
    """What real machines tell without options (data/machine-properties.json.xz)."""
    import json
    import lzma

    packed = (Path(__file__).parents[2] / "data" / "machine-properties.json.xz").read_bytes()
    known: Mapping[str, Any] = json.loads(lzma.decompress(packed))[label].get(target, {})
    return known


def _recorded(vm: Vm, name: str) -> object:
    """The value of *name* on a machine of this type without options; `MISSING` where nobody has asked one."""
    known = _values(vm.quirks.label, vm.target)
    own = known.get("types", {}).get(vm.machine)
    if own is None:
        return MISSING
    value = own.get(name, known["common"].get(name))
    if value is None or name not in known["common"]:
        return MISSING
    if name not in _LINKS or not value:
        return value
    # numbers in paths depend on what else there is
    kind, place = value
    found = [each for each in vm.qom.walk() if each.type_name == kind] if vm.qom is not None else []
    if kind == "memory-region":
        # a CPU has one of that name, too
        found = [each for each in found if each.name == place and not _of_a_cpu(each)]
    return found[0].path if found else MISSING


def _of_a_cpu(region: QomObject) -> bool:
    return region.parent is not None and region.parent.type_name.endswith("-cpu")


def _given(vm: Vm) -> dict[str, str]:
    """What the command line says of the machine: property -> text; without one where only an option sets it."""
    line = vm.command_line
    if line is not None:
        given = dict(line.machine_properties)
        if "dtb-randomness" in given:
            # the older name of the other one
            given.setdefault("dtb-kaslr-seed", given["dtb-randomness"])
        if line.clock:
            given["rtc-time"] = ""
        if line.append is not None:
            given["append"] = line.append
        if line.nographic:
            given["graphics"] = "off"
        for option in line.layout:
            word, _, text = option.lstrip("-").partition(" ")
            if word == "usb":
                given["usb"] = "on"
            elif word in ("kernel", "initrd", "append", "dtb"):
                given[word] = text
            elif word == "pflash" or (word == "drive" and "if=pflash" in text):
                given |= {"pflash0": "", "pflash1": ""}
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
    if name == "firmware":
        default = machine.default_bios[0] if machine.family in ("pc", "q35") else ""
        return machine.plan.bios or default
    if name == "device-memory-region-size":
        place = machine.board.root.at("/machine/device-memory[0]")
        return place.region.size if isinstance(place, RegionObject) else 0
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
