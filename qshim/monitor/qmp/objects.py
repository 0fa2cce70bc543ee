"""object-add and object-del, and the memory backends they make (spec/monitor.md 4.2, 4.3; memory.md 5)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from os.path import isdir
from typing import TYPE_CHECKING, Any

from qshim.errors import MemoryModelError
from qshim.monitor.json.writer import hash_order
from qshim.monitor.qmp.extensions import schema_for
from qshim.monitor.qmp.table import QMP
from qshim.monitor.registry import CommandError
from qshim.qom import MemoryBackend, QomObject

if TYPE_CHECKING:
    from qshim.memory import MemoryRegion, RAMBlock
    from qshim.vm import Vm

__all__ = ["backends", "object_add", "object_del", "objects_of", "query_memdev", "told_of"]

Arguments = Mapping[str, object]

_ID = re.compile(r"[A-Za-z][A-Za-z0-9._-]*", re.ASCII)
_SHARED = ("memory-backend-memfd", "memory-backend-shm")
_HUGE = 2 << 20
_MOST_NODES = 128
_HOST_SPACE = 1 << 47
"""Bytes that a process can map."""


def objects_of(vm: Vm) -> QomObject:
    """The container of what users make: `/objects`."""
    vm.build()
    if vm.qom is None:
        vm.qom = QomObject.root()
    return vm.qom.at("objects") or vm.qom.add_child("objects", QomObject("container"))


def backends(vm: Vm) -> dict[str, MemoryBackend]:
    """The memory backends by id, in order of creation; those of a recording are read from it once."""
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


@QMP.command("query-memdev")
def query_memdev(vm: Vm, arguments: Arguments) -> object:
    """The memory backends."""
    return schema_for(vm).shaped("query-memdev", [told_of(each) for each in backends(vm).values()])


@QMP.command("object-add")
def object_add(vm: Vm, arguments: Arguments) -> object:
    """Make a memory backend with its RAM block, or an I/O thread."""
    kind, name = str(arguments["qom-type"]), str(arguments["id"])
    if _ID.fullmatch(name) is None:
        raise CommandError("Parameter 'id' expects an identifier")
    if kind == "memory-backend-epc":
        raise CommandError("invalid object type: memory-backend-epc")
    if kind != "iothread" and not kind.startswith("memory-backend-"):
        raise CommandError(f"object-add of {kind} is not modelled by qshim")
    objects = objects_of(vm)
    context = arguments.get("prealloc-context")
    if context:
        raise CommandError(f"Device '{context}' not found", "DeviceNotFound")
    backend = None if kind == "iothread" else _described(kind, name, arguments)
    if objects.child(name) is not None:
        raise CommandError(f"attempt to add duplicate property '{name}' to object (type 'container')")
    made = QomObject(kind)
    if backend is not None:
        known = backends(vm)
        region = _region(vm, backend, made, arguments)
        try:
            _check_policy(backend)
        except CommandError:
            _give_back(region)
            raise
        known[name] = backend
        made.add_child(f"{region.name}[0]".replace("/", "\\x2f"), QomObject("memory-region"))
    objects.add_child(name, made)
    return {}


def _described(kind: str, name: str, arguments: Arguments) -> MemoryBackend:
    """The backend as asked for.

    :raises CommandError: a value that its properties do not take.
    """
    given: Mapping[str, Any] = arguments
    # properties are set in the order of the table that holds them
    for member in hash_order(tuple(given)):
        if member in ("size", "prealloc-threads") and given[member] == 0:
            raise CommandError(f"property '{member}' of {kind} doesn't take value '0'")
        if member == "host-nodes" and (beyond := [node for node in given[member] if node >= _MOST_NODES]):
            raise CommandError(f"Invalid host-nodes value: {beyond[0]}")
    if kind == "memory-backend-shm" and given.get("share") is False:
        raise CommandError("can't create shm backend with `share=off`")
    return MemoryBackend(
        name, kind, given["size"], given.get("merge", True), given.get("dump", True), given.get("prealloc", False),
        given.get("share", kind in _SHARED), given.get("reserve", True),
        tuple(sorted(set(given.get("host-nodes", ())))), given.get("policy", "default"),
        given.get("prealloc-threads", 1), given.get("x-use-canonical-path-for-ramblock-id", False),
        mem_path=given.get("mem-path"),
    )  # fmt: skip


def _check_policy(backend: MemoryBackend) -> None:
    if backend.host_nodes and backend.policy == "default":
        raise CommandError(
            "host-nodes must be empty for policy default, or you should explicitly specify a policy other than default"
        )
    if not backend.host_nodes and backend.policy != "default":
        raise CommandError(f"host-nodes must be set for policy {backend.policy}")


def _region(vm: Vm, backend: MemoryBackend, owner: QomObject, arguments: Arguments) -> MemoryRegion:
    from qshim.memory.allocate import allocate_ram, allocate_ram_from_file

    name = f"/objects/{backend.id}" if backend.canonical_name else backend.id
    if backend.size >= _HOST_SPACE:
        raise CommandError(f"cannot set up guest memory '{name}': Cannot allocate memory")
    page = vm.topology.host_page
    rounded = -(-backend.size // page) * page
    if arguments.get("hugetlb"):
        huge = arguments.get("hugetlbsize", _HUGE)
        assert isinstance(huge, int)
        if backend.size % huge:
            raise CommandError(f"failed to resize memfd to {backend.size}: Invalid argument")
        raise CommandError(f"{backend.type_name} with hugetlb is not modelled by qshim")
    if backend.type_name in _SHARED and rounded != backend.size:
        raise CommandError(vm.quirks.small_backing_store.format(name, backend.size, rounded))
    if backend.mem_path is not None and rounded != backend.size and vm.quirks.file_size_is_pages:
        raise CommandError(f"backend '{backend.type_name}' memory size must be multiple of {page >> 10} KiB")
    try:
        if backend.mem_path is None:
            return allocate_ram(vm.topology, name, backend.size, owner=owner)
        if isdir(backend.mem_path):
            # QEMU makes a file there and removes its name at once: memory that nobody else can reach
            return allocate_ram(vm.topology, name, rounded, owner=owner)
        readonly = bool(arguments.get("readonly", False))
        reason = None if readonly else vm.may_write(backend.mem_path)
        if reason is not None:
            raise CommandError(f"can't open backing store {backend.mem_path} for guest RAM: {reason}")
        rom = {"on": True, "off": False}.get(str(arguments.get("rom", "auto")))
        offset, align = arguments.get("offset", 0), arguments.get("align", 0)
        assert isinstance(offset, int)
        assert isinstance(align, int)
        return allocate_ram_from_file(
            vm.topology, name, rounded, backend.mem_path, owner=owner, offset=offset, align=align,
            shared=backend.share, readonly=readonly, rom=rom,
        )  # fmt: skip
    except MemoryModelError as error:
        raise CommandError(str(error)) from error


def _give_back(region: MemoryRegion) -> None:
    if region.destructor is not None:
        region.destructor()


@QMP.command("object-del")
def object_del(vm: Vm, arguments: Arguments) -> object:
    """Remove a memory backend that is no guest memory, or an I/O thread; RAM goes with its backend."""
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
    elif found.type_name == "monitor-qmp":
        raise CommandError("Cannot delete the current QMP monitor")
    elif found.type_name != "iothread":
        raise CommandError(f"object-del of {found.type_name} is not modelled by qshim")
    objects.remove_child(found)
    return {}


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
