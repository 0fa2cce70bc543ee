"""QEMU's object model: the composition tree and what hangs in it.

The names below are imported when they are asked for: a greeting needs the order of keys (`qom.qdict`) and no object.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qshim.qom.backend import MemoryBackend
    from qshim.qom.object import QomError, QomObject
    from qshim.qom.region import RegionObject

__all__ = ["MemoryBackend", "QomError", "QomObject", "RegionObject"]

_PLACES = {"MemoryBackend": "backend", "QomError": "object", "QomObject": "object", "RegionObject": "region"}


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module 'qshim.qom' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(f"qshim.qom.{_PLACES[name]}"), name)
