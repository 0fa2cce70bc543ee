"""device_add and device_del (spec/monitor.md 4.3; x86-boards.md 5.4, 7).

A modelled machine plugs the device and says what QEMU says; a recording only looks at what it was asked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

from qshim.devices.errors import DeviceError
from qshim.errors import MemoryModelError
from qshim.monitor.qmp.objects import objects_of
from qshim.monitor.qmp.paths import resolved
from qshim.monitor.qmp.table import QMP
from qshim.monitor.registry import CommandError
from qshim.qom import QomObject
from qshim.qom.types import qom_types

if TYPE_CHECKING:
    from qshim.machines.machine import Machine
    from qshim.vm import Vm

__all__ = ["add_device", "device_add", "device_del", "device_named", "machine_of"]

Arguments = Mapping[str, object]

_ID = re.compile(r"[A-Za-z][A-Za-z0-9._-]*", re.ASCII)
_SIGNED = {"int8": 8, "int16": 16, "int32": 32, "int64": 64, "int": 64}
_UNSIGNED = {"uint8": 8, "uint16": 16, "uint32": 32, "uint64": 64, "size": 64}
_MOST_DEVFN = 255


def machine_of(vm: Vm) -> Machine | None:
    """The modelled machine behind *vm*; None for a recording."""
    vm.build()
    return cast("Machine | None", vm.machine_model)


@QMP.command("device_add", own_checks=True)
def device_add(vm: Vm, arguments: Arguments) -> object:
    """Plug a device, with its properties as JSON values or, before 10.0, as text."""
    machine = machine_of(vm)
    if machine is None:
        return _refused(vm, arguments)
    if not vm.quirks.json_device_properties:
        add_device(vm, _texts(arguments))
        return {}
    driver, name, bus = (arguments.get(member) for member in ("driver", "id", "bus"))
    if not isinstance(driver, str):
        raise CommandError("Parameter 'driver' is missing")
    given = {key: value for key, value in arguments.items() if key not in ("driver", "id", "bus")}
    shown = {key: str(value) for key, value in given.items()}
    if isinstance(bus, str):
        shown["bus"] = bus

    def texts(type_name: str, properties: Mapping[str, str]) -> Mapping[str, str]:
        return _typed(machine, type_name, given)

    _plug(vm, machine, driver, name if isinstance(name, str) else None, shown, texts)
    return {}


def add_device(vm: Vm, given: Mapping[str, str]) -> None:
    """Plug a device that is described as text, as HMP does.

    :raises CommandError: QEMU refuses it.
    """
    machine = machine_of(vm)
    if machine is None:
        _refused(vm, given)
        return
    texts = dict(given)
    driver, name = texts.pop("driver", None), texts.pop("id", None)
    if name is not None and _ID.fullmatch(name) is None:
        raise CommandError("Parameter 'id' expects an identifier")
    if driver is None:
        raise CommandError("Parameter 'driver' is missing")
    _plug(vm, machine, driver, name, texts)


def _same(type_name: str, properties: Mapping[str, str]) -> Mapping[str, str]:
    return properties


def _plug(
    vm: Vm,
    machine: Machine,
    driver: str,
    name: str | None,
    properties: Mapping[str, str],
    texts: Callable[[str, Mapping[str, str]], Mapping[str, str]] = _same,
) -> None:
    try:
        from qshim.machines.adding import plug_in

        plug_in(machine, driver, name, properties, texts=texts)
    except (DeviceError, MemoryModelError) as error:
        raise CommandError(str(error), getattr(error, "class_", "GenericError")) from error
    vm.count_cpus(sum(space.name.startswith("cpu-memory-") for space in vm.topology.spaces))


def _texts(arguments: Arguments) -> dict[str, str]:
    """Values as the text that QEMU makes of them; lists, objects and null are left out."""
    out: dict[str, str] = {}
    for key, value in arguments.items():
        if isinstance(value, bool):
            out[key] = "on" if value else "off"
        elif isinstance(value, float):
            out[key] = f"{value:.17g}"
        elif isinstance(value, (str, int)):
            out[key] = str(value)
    return out


def _typed(machine: Machine, type_name: str, given: Arguments) -> dict[str, str]:
    """The text of each JSON value that has the type its property wants.

    :raises DeviceError: one has not, or there is no such property.
    """
    types = machine.board.types
    rows: Any = None if types is None else types.device_properties(type_name)
    kinds = {row["name"]: row["type"] for row in rows} if isinstance(rows, list) else {}
    pci = types is not None and types.implements(type_name, "pci-device")
    out = {}
    for key in machine.board.hash_order(tuple(given)):
        if kinds and key not in kinds:
            raise DeviceError(f"Property '{type_name}.{key}' not found")
        out[key] = _text_of(key, given[key], "devfn" if pci and key == "addr" else kinds.get(key, ""))
    return out


def _text_of(name: str, value: object, kind: str) -> str:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if kind == "devfn" and whole:
        assert isinstance(value, int)
        if not -1 <= value <= _MOST_DEVFN:
            raise DeviceError(f"Parameter '{name}' expects a value between -1 and 255")
        return "-1" if value < 0 else f"{value >> 3:x}.{value & 7}"
    if kind == "bool":
        if not isinstance(value, bool):
            raise DeviceError(f"Invalid parameter type for '{name}', expected: boolean")
        return "on" if value else "off"
    if kind in _UNSIGNED:
        if not whole:
            raise DeviceError(f"Parameter '{name}' expects uint64")
        return _fitting(name, value, 0, (1 << _UNSIGNED[kind]) - 1, kind)
    if kind in _SIGNED:
        if not whole:
            raise DeviceError(f"Invalid parameter type for '{name}', expected: integer")
        half = 1 << _SIGNED[kind] - 1
        return _fitting(name, value, -half, half - 1, kind)
    if not isinstance(value, str):
        raise DeviceError(f"Invalid parameter type for '{name}', expected: string")
    return value


def _fitting(name: str, value: object, low: int, high: int, kind: str) -> str:
    assert isinstance(value, int)
    if kind in ("uint64", "size") and value < 0:
        # taken as the same bits without a sign
        value %= 1 << 64
    if not low <= value <= high:
        raise DeviceError(f"Parameter '{name}' expects {kind}_t")
    return str(value)


@QMP.command("device_del")
def device_del(vm: Vm, arguments: Arguments) -> object:
    """Ask a device to leave; some go at once."""
    found = device_named(vm, str(arguments["id"]))
    machine = machine_of(vm)
    from qshim.devices.qdev import Device

    if machine is None or not isinstance(found, Device):
        raise CommandError("device_del is not modelled by qshim")
    try:
        gone = machine.hotplug.request(found)
    except DeviceError as error:
        raise CommandError(str(error), error.class_) from error
    vm.tell_deleted(gone)
    return {}


def device_named(vm: Vm, name: str) -> QomObject:
    """The device that a user means by an id or a path.

    :raises CommandError: there is none.
    """
    if not name:
        raise CommandError(f" is not a {vm.quirks.device_path_word}")
    if not name.startswith("/"):
        objects_of(vm)
        found = vm.qom.at(f"machine/peripheral/{name}") if vm.qom is not None else None
        if found is None:
            raise CommandError(f"Device '{name}' not found", "DeviceNotFound")
        return found
    found = resolved(vm, name)
    known = qom_types(vm.quirks.label, vm.target)
    if known is not None and not known.implements(found.type_name, "device"):
        raise CommandError(f"{name} is not a {vm.quirks.device_path_word}")
    return found


def _refused(vm: Vm, arguments: Arguments) -> object:
    """Check the driver as QEMU does; a recording gets no devices."""
    driver = arguments.get("driver")
    if driver is None or (not isinstance(driver, str) and not vm.quirks.device_add_takes_text):
        raise CommandError("Parameter 'driver' is missing")
    known = qom_types(vm.quirks.label, vm.target)
    if known is not None:
        if isinstance(driver, bool):
            driver = "on" if driver else "off"
        row = known.by_name.get(str(driver))
        if row is None or not known.implements(str(driver), "device"):
            raise CommandError(f"'{driver}' is not a valid device model name")
        if row.get("abstract"):
            raise CommandError("Parameter 'driver' expects a non-abstract device type")
        if known.implements(str(driver), "pc-dimm"):
            if vm.machine == "none":
                raise CommandError(f"Device '{driver}' can not be hotplugged on this machine")
            if not any("slots=" in word for word in _argv(vm)) and vm.machine.startswith("pc-"):
                raise CommandError("no slots where allocated, please specify the 'slots' option")
    raise CommandError("device_add is not modelled by qshim")


def _argv(vm: Vm) -> list[str]:
    argv = () if vm.recording is None else vm.recording.argv
    return [word for option, word in pairwise(argv) if option in ("-m", "--m")]
