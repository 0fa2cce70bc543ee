"""MemoryBackend: a host memory backend, the object behind guest RAM (spec/monitor.md 4.2, 4.3)."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MemoryBackend"]


@dataclass(slots=True)
class MemoryBackend:
    """What `-object memory-backend-...` or object-add made, and query-memdev lists."""

    id: str
    type_name: str
    size: int
    """Bytes, as asked for; the RAM block may be longer."""
    merge: bool = True
    dump: bool = True
    prealloc: bool = False
    share: bool = False
    reserve: bool | None = True
    """None where the backend cannot tell."""
    host_nodes: tuple[int, ...] = ()
    policy: str = "default"
    prealloc_threads: int = 1
    canonical_name: bool = False
    """The RAM block is called by the object's path."""
    mapped: bool = False
    """A machine or a device has it as memory."""
    mem_path: str | None = None
