"""Memory backends: the host memory behind RAM, DIMMs and shared memory devices (spec/monitor.md 4.2, memory.md 5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from os.path import isdir
from typing import Any, NamedTuple

from qshim.devices.errors import DeviceError
from qshim.errors import MemoryModelError
from qshim.memory import MemoryRegion, Topology
from qshim.qom import MemoryBackend, QomObject, RegionObject
from qshim.versions import Quirks

__all__ = ["Around", "check_free", "make_backend"]

Arguments = Mapping[str, object]

_SHARED = ("memory-backend-memfd", "memory-backend-shm")
_HUGE = 2 << 20
_MOST_NODES = 128
_HOST_SPACE = 1 << 47
"""Bytes that a process can map."""


class Around(NamedTuple):
    """What a backend needs of the machine."""

    topology: Topology
    quirks: Quirks
    may_write: Callable[[str], str | None]
    """Why a file may not be written; None if it may."""
    hash_order: Callable[[Sequence[str]], Sequence[str]] = lambda names: names
    """The order in which properties are set: QEMU keeps them in a hash table."""
    merge: bool = True
    """What -machine mem-merge says."""
    dump: bool = True
    """What -machine dump-guest-core says."""


def make_backend(
    around: Around, kind: str, name: str, given: Arguments, objects: QomObject
) -> tuple[MemoryBackend, MemoryRegion, QomObject]:
    """The backend *name* of type *kind* with its region, and its object, which is to go into *objects*.

    :raises DeviceError: what QEMU does not take, in its words.
    """
    if kind == "memory-backend-epc":
        raise DeviceError("invalid object type: memory-backend-epc")
    backend = _described(kind, name, given, around)
    check_free(objects, name)
    made = QomObject(kind)
    region = _region(around, backend, made, given)
    try:
        _check_policy(backend)
    except DeviceError:
        if region.destructor is not None:
            region.destructor()
        raise
    # anonymous memory is aligned for huge pages, a file's for its own
    shared = kind in _SHARED or backend.mem_path is not None
    region.align = max(region.align, around.topology.host_page if shared else _HUGE)
    made.add_child(f"{region.name}[0]".replace("/", "\\x2f"), RegionObject(region))
    return backend, region, made


def check_free(objects: QomObject, name: str) -> None:
    """:raises DeviceError: there is an object *name*."""
    if objects.child(name) is not None:
        raise DeviceError(f"attempt to add duplicate property '{name}' to object (type 'container')")


def _described(
    kind: str, name: str, arguments: Arguments, around: Around
) -> MemoryBackend:
    """The backend as asked for.

    :raises DeviceError: a value that its properties do not take.
    """
    given: Mapping[str, Any] = arguments
    for member in around.hash_order(tuple(given)):
        if member in ("size", "prealloc-threads") and given[member] == 0:
            raise DeviceError(f"property '{member}' of {kind} doesn't take value '0'")
        if member == "host-nodes" and (beyond := [node for node in given[member] if node >= _MOST_NODES]):
            raise DeviceError(f"Invalid host-nodes value: {beyond[0]}")
    if kind == "memory-backend-shm" and given.get("share") is False:
        raise DeviceError("can't create shm backend with `share=off`")
    return MemoryBackend(
        name, kind, given["size"], given.get("merge", around.merge), given.get("dump", around.dump),
        given.get("prealloc", False), given.get("share", kind in _SHARED), given.get("reserve", True),
        tuple(sorted(set(given.get("host-nodes", ())))), given.get("policy", "default"),
        given.get("prealloc-threads", 1), given.get("x-use-canonical-path-for-ramblock-id", False),
        mem_path=given.get("mem-path"),
    )  # fmt: skip


def _check_policy(backend: MemoryBackend) -> None:
    if backend.host_nodes and backend.policy == "default":
        raise DeviceError(
            "host-nodes must be empty for policy default, or you should explicitly specify a policy other than default"
        )
    if not backend.host_nodes and backend.policy != "default":
        raise DeviceError(f"host-nodes must be set for policy {backend.policy}")


def _region(around: Around, backend: MemoryBackend, owner: QomObject, arguments: Arguments) -> MemoryRegion:
    from qshim.memory.allocate import allocate_ram, allocate_ram_from_file

    name = f"/objects/{backend.id}" if backend.canonical_name else backend.id
    if backend.size >= _HOST_SPACE:
        raise DeviceError(f"cannot set up guest memory '{name}': Cannot allocate memory")
    page = around.topology.host_page
    rounded = -(-backend.size // page) * page
    if arguments.get("hugetlb"):
        huge = arguments.get("hugetlbsize", _HUGE)
        assert isinstance(huge, int)
        if backend.size % huge:
            raise DeviceError(f"failed to resize memfd to {backend.size}: Invalid argument")
        raise DeviceError(f"{backend.type_name} with hugetlb is not modelled by qshim")
    if backend.type_name in _SHARED and rounded != backend.size:
        raise DeviceError(around.quirks.small_backing_store.format(name, backend.size, rounded))
    if backend.mem_path is not None and rounded != backend.size and around.quirks.file_size_is_pages:
        raise DeviceError(f"backend '{backend.type_name}' memory size must be multiple of {page >> 10} KiB")
    try:
        if backend.mem_path is None:
            return allocate_ram(around.topology, name, backend.size, owner=owner)
        if isdir(backend.mem_path):
            # QEMU makes a file there and removes its name at once: memory that nobody else can reach
            return allocate_ram(around.topology, name, rounded, owner=owner)
        readonly = bool(arguments.get("readonly", False))
        reason = None if readonly else around.may_write(backend.mem_path)
        if reason is not None:
            raise DeviceError(f"can't open backing store {backend.mem_path} for guest RAM: {reason}")
        rom = {"on": True, "off": False}.get(str(arguments.get("rom", "auto")))
        offset, align = arguments.get("offset", 0), arguments.get("align", 0)
        assert isinstance(offset, int)
        assert isinstance(align, int)
        return allocate_ram_from_file(
            around.topology, name, rounded, backend.mem_path, owner=owner, offset=offset, align=align,
            shared=backend.share, readonly=readonly, rom=rom,
        )  # fmt: skip
    except MemoryModelError as error:
        raise DeviceError(str(error)) from error
