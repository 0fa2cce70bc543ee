"""qshim: QEMU's memory model and monitors, without QEMU.

`qshim.running` serves a machine inside a test (see `qshim.testing`).
"""

from __future__ import annotations

from typing import Any

__all__ = ["__version__", "running"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name == "running":
        # by name: nothing below the tests' helpers may depend on them
        from importlib import import_module

        return import_module("qshim.testing").running
    raise AttributeError(f"module 'qshim' has no attribute {name!r}")
