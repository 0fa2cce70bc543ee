"""QMP commands about the object model: the tree, properties, types (spec/monitor.md 4.3).

A recording has the object tree, and of properties only those of memory regions and backends. What it
cannot tell is refused with words that say so; `Property ... not found` is only said where the binary's
own list of properties (`schema.types`) does not have the name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from qshim.devices.qdev import Bus, Device
from qshim.monitor.monitors import KINDS, property_of, set_property
from qshim.monitor.qmp.machineprops import MISSING, machine_property, set_machine_property
from qshim.monitor.qmp.objects import backends, object_order, objects_of
from qshim.monitor.qmp.paths import link_target, resolved
from qshim.monitor.qmp.table import QMP
from qshim.monitor.registry import CommandError
from qshim.qom import MemoryBackend, QomObject, RegionObject
from qshim.qom.hashorder import hash_table_order
from qshim.qom.types import QomTypes, qom_types
from qshim.recording.format import QomRegion
from qshim.units import U64_MAX

if TYPE_CHECKING:
    from qshim.vm import MonitorState, Vm

__all__ = [
    "device_list_properties", "properties_of", "qom_get", "qom_list", "qom_list_get",
    "qom_list_properties", "qom_list_types", "qom_set",
]  # fmt: skip

Arguments = Mapping[str, object]

_REGION = {"container": "link<memory-region>", "addr": "uint64", "size": "uint64", "priority": "uint32"}
_BACKEND = {
    "merge": "bool", "dump": "bool", "prealloc": "bool", "prealloc-threads": "int", "prealloc-context":
    "link<thread-context>", "size": "int", "host-nodes": "int", "policy": "HostMemPolicy", "share": "bool",
    "reserve": "bool", "x-use-canonical-path-for-ramblock-id": "bool",
}  # fmt: skip
_PC = {"acpi-device": "link<hotplug-handler>", "rtc-time": "struct tm", "smram": "link<memory-region>"}
"""What a PC gets while it is made, beyond what its type lists (seen on 7.2, 10.0 and 11.1)."""
_TABLES = "/machine/fw_cfg/\\x2from@"
"""Memory with ACPI tables, whose regions are as long as those, not to the page."""
_PADDING = ("pc-i440fx-", "pc-q35-", "isapc")
"""Machine types that make room for tables in whole pages."""
_POLICIES = ("default", "preferred", "bind", "interleave")


def properties_of(vm: Vm, here: QomObject) -> dict[str, str] | None:
    """Types of all properties of *here* by name; None where the recording does not tell."""
    own: dict[str, str] = {"type": "string"}
    if here.type_name == "memory-region":
        own |= _REGION
    elif (backend := _backend(vm, here)) is not None:
        listed = _listed(vm, backend.type_name)
        own |= listed if listed is not None else _BACKEND
    elif isinstance(here, Device):
        listed = _listed(vm, here.type_name)
        if listed is None:
            return None
        own |= {name: kind for name, kind in listed.items() if not kind.startswith("child<")}
        ordered = hash_table_order(here.children)
        return own | {name: f"child<{here.children[name].type_name}>" for name in ordered}
    elif isinstance(here, Bus):
        own |= _listed(vm, here.type_name) or {}
        # numbered as they came
        own |= {f"child[{number}]": f"link<{each.type_name}>" for number, each in enumerate(here.devices)}
    elif here.type_name.startswith("chardev-") or here.type_name in KINDS:
        own |= _listed(vm, here.type_name) or {}
    elif here.type_name != "container":
        listed = _made_like(vm, here)
        if listed is None:
            return None
        own |= listed
    names = reversed(object_order(vm)) if here is objects_of(vm) else here.children
    return own | {name: f"child<{here.children[name].type_name}>" for name in names}


def _made_like(vm: Vm, here: QomObject) -> dict[str, str] | None:
    """The properties of a machine or a CPU without its children; devices get more as they are connected: None."""
    known = qom_types(vm.quirks.label, vm.target)
    listed = _listed(vm, here.type_name)
    if known is None or listed is None:
        return None
    if not known.implements(here.type_name, "machine") and not known.implements(here.type_name, "cpu"):
        return None
    listed = {name: kind for name, kind in listed.items() if not kind.startswith("child<")}
    if known.implements(here.type_name, "generic-pc-machine") and vm.preconfig is not None:
        # its flash is there until it turns out that nobody has an image for it
        return listed | {f"system.flash{unit}": "child<cfi.pflash01>" for unit in (0, 1)}
    if known.implements(here.type_name, "generic-pc-machine"):
        listed |= _PC | dict(vm.quirks.pc_links)
        if here.child("system.flash0") is None:
            for name in ("pflash0", "pflash1"):
                listed.pop(name, None)
    return listed


def _backend(vm: Vm, here: QomObject) -> MemoryBackend | None:
    return backends(vm).get(here.name) if here.parent is objects_of(vm) else None


def _monitor(vm: Vm, here: QomObject, name: str) -> MonitorState | None:
    """The monitor that *here* stands for, if it has the property *name*."""
    if here.type_name not in KINDS or name == "type" or name not in (properties_of(vm, here) or ()):
        return None
    return vm.monitors.get(here.name)


def _types(vm: Vm, command: str) -> QomTypes:
    known = qom_types(vm.quirks.label, vm.target)
    if known is None:
        raise CommandError(f"{command} is not modelled by qshim for {vm.target}")
    return known


def _listed(vm: Vm, type_name: str) -> dict[str, str] | None:
    """What the binary lists for a type: name -> type; None where nobody knows."""
    known = qom_types(vm.quirks.label, vm.target)
    listed = known.properties(type_name) if known is not None else None
    return {p["name"]: p["type"] for p in listed} if isinstance(listed, list) else None


@QMP.command("qom-list")
def qom_list(vm: Vm, arguments: Arguments) -> object:
    """The properties of an object."""
    here = resolved(vm, str(arguments["path"]))
    found = properties_of(vm, here)
    if found is None:
        raise CommandError(f"the properties of {here.path} ({here.type_name}) are not in the recording")
    return [{"name": name, "type": kind} for name, kind in found.items()]


@QMP.command("qom-get")
def qom_get(vm: Vm, arguments: Arguments) -> object:
    """The value of a property."""
    return _value(vm, resolved(vm, str(arguments["path"]), ambiguous=False), str(arguments["property"]))


@QMP.command("qom-list-get")
def qom_list_get(vm: Vm, arguments: Arguments) -> object:
    """All properties of several objects with their values."""
    paths = arguments["paths"]
    assert isinstance(paths, list)
    answers = []
    # a path that leads nowhere fails all of it, whatever the others have
    for here in [resolved(vm, path) for path in paths]:
        found = properties_of(vm, here)
        if found is None:
            raise CommandError(f"the properties of {here.path} ({here.type_name}) are not in the recording")
        answers.append({"properties": [{"name": n, "type": t, "value": _value(vm, here, n)} for n, t in found.items()]})
    return answers


def _value(vm: Vm, here: QomObject, name: str) -> object:
    if name == "type":
        return here.type_name
    target = link_target(vm, here, name)
    if target is not None:
        return target.path
    child = here.child(name)
    if child is not None:
        return child.path
    if name in _REGION and (region := _region(vm, here)) is not None:
        if name == "size" and (here.path or "").startswith(_TABLES) and not vm.machine.startswith(_PADDING):
            raise CommandError(f"property 'size' of {here.path} is not modelled by qshim, which makes no ACPI tables")
        return getattr(region, name)
    if (told := getattr(here, "told", None)) is not None and name in (data := told()["data"]) and name != "id":
        return data[name]
    if isinstance(here, Device) and name in (properties_of(vm, here) or ()):
        from qshim.views.qtree import property_value

        behind = here.child("virtio-backend")
        for device in (here, behind) if isinstance(behind, Device) else (here,):
            found = property_value(device, name)
            if found is not None:
                return found
        if name == "bootindex":
            return int(here.text_of(name, "-1"), 0)
    monitor = _monitor(vm, here, name)
    if monitor is not None:
        return property_of(monitor, name)
    backend = _backend(vm, here)
    if backend is not None and name in _BACKEND:
        return {
            "merge": backend.merge, "dump": backend.dump, "prealloc": backend.prealloc, "size": backend.size,
            "prealloc-threads": backend.prealloc_threads, "prealloc-context": "", "policy": backend.policy,
            "host-nodes": list(backend.host_nodes), "share": backend.share, "reserve": backend.reserve is not False,
            "x-use-canonical-path-for-ramblock-id": backend.canonical_name,
        }[name]  # fmt: skip
    if here.path == "/machine":
        listed = properties_of(vm, here) or _listed(vm, here.type_name) or {}
        value = machine_property(vm, name, listed.get(name, ""), backends(vm))
        if value is not MISSING:
            return value
    raise _unknown(vm, here, name)


def _region(vm: Vm, here: QomObject) -> QomRegion | None:
    """What a memory region tells of itself: the live one, or what was recorded of it; None for all other objects."""
    if not isinstance(here, RegionObject):
        return vm.recording.qom.get(here.path or "") if vm.recording is not None else None
    region, container = here.region, ""
    if region.container is not None and vm.qom is not None:
        outer = (each for each in vm.qom.walk() if isinstance(each, RegionObject) and each.region is region.container)
        container = next((each.path or "" for each in outer), "")
    return QomRegion(container, region.addr, min(region.size, U64_MAX), region.priority)


def _unknown(vm: Vm, here: QomObject, name: str) -> CommandError:
    """Why *name* of *here* has no value: QEMU has no such property, or the recording does not tell."""
    listed = properties_of(vm, here)
    if listed is None:
        listed = _listed(vm, here.type_name)
    # links and pins of a device are made as it is built, all of them with a number
    if listed is not None and name not in listed and not name.endswith("]"):
        return CommandError(f"Property '{here.type_name}.{name}' not found")
    return CommandError(f"property '{name}' of {here.path} ({here.type_name}) is not in the recording")


@QMP.command("qom-set")
def qom_set(vm: Vm, arguments: Arguments) -> object:
    """Set a property: the switches of a memory backend that matter to the host alone."""
    here = resolved(vm, str(arguments["path"]), ambiguous=False)
    name, value = str(arguments["property"]), arguments["value"]
    monitor = _monitor(vm, here, name)
    if monitor is not None:
        set_property(monitor, name, value)
        return {}
    backend = _backend(vm, here)
    if backend is not None and name in _BACKEND:
        if name in ("merge", "dump", "prealloc"):
            if not isinstance(value, bool):
                raise CommandError(f"Invalid parameter type for '{name}', expected: boolean")
            setattr(backend, name, value)
            return {}
        if name in ("policy", "host-nodes", "prealloc-threads"):
            _set_policy(backend, name, value)
            return {}
        if name in ("share", "reserve"):
            raise CommandError("cannot change property value")
        if name == "size":
            raise CommandError(f"cannot change property {name} of {backend.type_name} ")
    if isinstance(here, Device) and name in (known := properties_of(vm, here) or {}):
        from qshim.monitor.qmp.devprops import set_device_property

        if set_device_property(here, name, value, known):
            return {}
    if here.path == "/machine" and name in (_listed(vm, here.type_name) or {}):
        if set_machine_property(vm, name, value):
            return {}
        if name == "memory-backend" and isinstance(value, str) and value not in backends(vm):
            raise CommandError(f"Device '{value}' not found", "DeviceNotFound")
    if name == "type" or here.child(name) is not None or (here.type_name == "memory-region" and name in _REGION):
        raise CommandError(f"Property '{here.type_name}.{name}' is not writable")
    error = _unknown(vm, here, name)
    if error.desc.endswith("' not found"):
        raise error
    raise CommandError(f"qom-set of '{name}' of {here.path} ({here.type_name}) is not modelled by qshim")


def _set_policy(backend: MemoryBackend, name: str, value: object) -> None:
    """Set what concerns where the host takes memory from."""
    if name == "policy":
        if not isinstance(value, str):
            raise CommandError("Invalid parameter type for 'policy', expected: string")
        if value not in _POLICIES:
            raise CommandError(f"Parameter 'policy' does not accept value '{value}'")
        backend.policy = value
    elif name == "host-nodes":
        if not isinstance(value, list):
            raise CommandError("Invalid parameter type for 'host-nodes', expected: array")
        if any(type(node) is not int or not 0 <= node < 128 for node in value):
            raise CommandError("qom-set of 'host-nodes' takes a list of node numbers here")
        backend.host_nodes = tuple(sorted(set(value)))
    elif type(value) is not int:
        raise CommandError(f"Parameter '{name}' expects uint64")
    elif value <= 0:
        raise CommandError(f"property '{name}' of {backend.type_name} doesn't take value '{value}'")
    else:
        backend.prealloc_threads = value


@QMP.command("qom-list-types")
def qom_list_types(vm: Vm, arguments: Arguments) -> object:
    """Types of the binary: all, or those that implement one; abstract ones on request."""
    known = _types(vm, "qom-list-types")
    parent, abstract = arguments.get("implements"), bool(arguments.get("abstract"))
    return [
        row
        for row in known.types
        if (abstract or not row.get("abstract")) and (parent is None or known.implements(row["name"], str(parent)))
    ]


@QMP.command("qom-list-properties")
def qom_list_properties(vm: Vm, arguments: Arguments) -> object:
    """The properties of a type."""
    return _types_reply(vm, "qom-list-properties", str(arguments["typename"]), "Class")


@QMP.command("device-list-properties")
def device_list_properties(vm: Vm, arguments: Arguments) -> object:
    """The properties of a device type that a user may set."""
    return _types_reply(vm, "device-list-properties", str(arguments["typename"]), "Device")


def _types_reply(vm: Vm, command: str, name: str, word: str) -> object:
    known = _types(vm, command)
    if name not in known.by_name:
        raise CommandError(f"{word} '{name}' not found", "DeviceNotFound")
    reply = known.properties(name) if word == "Class" else known.device_properties(name)
    if reply is None:
        raise CommandError(f"{command} is not modelled by qshim for {name}")
    if isinstance(reply, dict):
        raise CommandError(reply["error"]["desc"], reply["error"]["class"])
    return reply
