"""QEMU's object model: the composition tree and what hangs in it."""

from __future__ import annotations

from qshim.qom.backend import MemoryBackend
from qshim.qom.object import QomError, QomObject

__all__ = ["MemoryBackend", "QomError", "QomObject"]
