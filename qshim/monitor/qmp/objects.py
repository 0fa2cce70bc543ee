"""object-add and object-del, and the memory backends they make (spec/monitor.md 4.2, 4.3; memory.md 5)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from qshim.devices.errors import DeviceError
from qshim.devices.memory.backends import Around, check_free, make_backend
from qshim.monitor.monitors import KINDS, dismiss, make
from qshim.monitor.monitors import check_leaving as check_leaving_monitor
from qshim.monitor.qmp.extensions import schema_for
from qshim.monitor.qmp.plainobjects import PLAIN, PlainObject, check_leaving
from qshim.monitor.qmp.table import QMP
from qshim.monitor.registry import CommandError
from qshim.qom import MemoryBackend, QomObject
from qshim.qom.hashorder import HashTable, hash_table_order
from qshim.qom.qdict import hash_order

if TYPE_CHECKING:
    from qshim.memory import MemoryRegion, RAMBlock
    from qshim.vm import Vm

__all__ = ["backends", "leave", "object_add", "object_del", "object_order", "objects_of", "query_memdev", "told_of"]

Arguments = Mapping[str, object]

_TABLES: WeakKeyDictionary[Vm, HashTable] = WeakKeyDictionary()
"""Keys of /objects in the order in which a machine shows them, once one has been removed."""
_ID = re.compile(r"[A-Za-z][A-Za-z0-9._-]*", re.ASCII)


def objects_of(vm: Vm) -> QomObject:
    """The container of what users make: `/objects`."""
    vm.build()
    if vm.qom is None:
        vm.qom = QomObject.root()
    objects = vm.qom.at("objects") or vm.qom.add_child("objects", QomObject("container"))
    if vm.quirks.monitors_are_objects:
        for name, monitor in vm.monitors.items():
            if objects.child(name) is None:
                objects.add_child(name, QomObject(KINDS[not monitor.control]))
    return objects


def backends(vm: Vm) -> dict[str, MemoryBackend]:
    """The memory backends by id, in order of creation; those of a recording are read from it once."""
    vm.build()
    if vm.backends is None:
        vm.backends = {}
        children = objects_of(vm).children
        told: Any = vm.recorded("query-memdev") or ()
        for row in told:
            name = row.get("id")
            if name in children:
                block = _block_of(vm, name)
                vm.backends[name] = MemoryBackend(
                    name, children[name].type_name, row["size"], row["merge"], row["dump"], row["prealloc"],
                    row["share"], row.get("reserve"), tuple(row["host-nodes"]), row["policy"],
                    mapped=block is None or bool(block.idstr),
                )  # fmt: skip
    return vm.backends


def told_of(backend: MemoryBackend) -> dict[str, object]:
    """An entry of query-memdev."""
    row: dict[str, object] = {"id": backend.id}
    row |= {"size": backend.size, "merge": backend.merge, "dump": backend.dump, "prealloc": backend.prealloc}
    row["share"] = backend.share
    if backend.reserve is not None:
        row["reserve"] = backend.reserve
    return {**row, "host-nodes": list(backend.host_nodes), "policy": backend.policy}


def object_order(vm: Vm) -> list[str]:
    """Ids of all objects in the order in which the hash table of /objects yields them."""
    return list(_TABLES.get(vm) or hash_table_order(objects_of(vm).children))


@QMP.command("query-memdev")
def query_memdev(vm: Vm, arguments: Arguments) -> object:
    """The memory backends."""
    known = backends(vm)
    names = list(known)
    if vm.machine_model is not None:
        # QEMU prepends each that the hash table of /objects yields
        names = [name for name in reversed(object_order(vm)) if name in known]
    return schema_for(vm).shaped("query-memdev", [told_of(known[name]) for name in names])


@QMP.command("object-add")
def object_add(vm: Vm, arguments: Arguments) -> object:
    """Make a memory backend with its RAM block, or an object that is only there."""
    kind, name = str(arguments["qom-type"]), str(arguments["id"])
    if _ID.fullmatch(name) is None:
        raise CommandError("Parameter 'id' expects an identifier")
    if kind == "memory-backend-epc":
        raise CommandError("invalid object type: memory-backend-epc")
    if kind not in PLAIN and kind not in KINDS and not kind.startswith("memory-backend-"):
        raise CommandError(f"object-add of {kind} is not modelled by qshim")
    objects = objects_of(vm)
    context = arguments.get("prealloc-context")
    if context:
        raise CommandError(f"Device '{context}' not found", "DeviceNotFound")
    known = backends(vm)
    try:
        if kind in PLAIN:
            PLAIN[kind](vm, arguments)
            check_free(objects, name)
            made: QomObject = PlainObject(kind, arguments)
        elif kind in KINDS:
            check_free(objects, name)
            make(vm, kind, name, arguments)
            made = QomObject(kind)
        else:
            around = Around(vm.topology, vm.quirks, vm.may_write, hash_order)
            machine: Any = vm.machine_model
            if machine is not None:
                merge, dump = (machine.options.on(key, True) for key in ("mem-merge", "dump-guest-core"))
                around = around._replace(merge=merge, dump=dump)
            known[name], region, made = make_backend(around, kind, name, arguments, objects)
            _regions(vm)[name] = region
    except DeviceError as error:
        raise CommandError(str(error), error.class_) from error
    objects.add_child(name, made)
    if vm in _TABLES:
        _TABLES[vm].insert(name)
    return {}


@QMP.command("object-del")
def object_del(vm: Vm, arguments: Arguments) -> object:
    """Remove an object that nobody uses; RAM goes with its backend."""
    name = str(arguments["id"])
    objects = objects_of(vm)
    found = objects.child(name)
    if found is None:
        raise CommandError(f"object '{name}' not found")
    backend = backends(vm).get(name)
    if backend is not None:
        if backend.mapped:
            raise CommandError(vm.quirks.mapped_backend.format(name))
        block = _block_of(vm, name)
        if block is not None and block.region is not None and block.region.destructor is not None:
            block.region.destructor()
        elif block is not None:
            vm.topology.ram.free(block)
        del backends(vm)[name]
        _regions(vm).pop(name, None)
    elif found.type_name in KINDS:
        check_leaving_monitor(vm, name)
        dismiss(vm, name)
    elif found.type_name not in PLAIN:
        raise CommandError(f"object-del of {found.type_name} is not modelled by qshim")
    else:
        check_leaving(vm, found.type_name, name)
    leave(vm, name)
    return {}


def leave(vm: Vm, name: str) -> None:
    """Take the object *name*, which is nothing any more, out of the tree."""
    objects = objects_of(vm)
    found = objects.child(name)
    if found is not None:
        # a removed key leaves a gap in the hash table, which tells from then on
        _TABLES.setdefault(vm, HashTable(objects.children)).remove(name)
        objects.remove_child(found)


def _regions(vm: Vm) -> dict[str, MemoryRegion]:
    """Where the devices of a modelled machine find the regions of backends."""
    machine: Any = vm.machine_model
    found: dict[str, MemoryRegion] = {} if machine is None else machine.backend_regions
    return found


def _block_of(vm: Vm, name: str) -> RAMBlock | None:
    """The RAM block of the backend *name*: by owner, then by its own name, then by its size while it has none."""
    found = objects_of(vm).child(name)
    blocks = vm.topology.ram.blocks
    for block in blocks:
        if block.region is not None and block.region.owner is found and found is not None:
            return block
    for block in blocks:
        if block.idstr and block.idstr.rpartition("/")[2] == name:
            return block
    told: Any = vm.recorded("query-memdev") or ()
    sizes = [vm.topology.ram.rounded(row["size"]) for row in told if row.get("id") == name]
    return next((block for block in blocks if not block.idstr and block.used_length in sizes), None)
