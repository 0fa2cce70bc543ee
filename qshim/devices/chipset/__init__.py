"""Chipset functions whose registers move memory (spec/x86-boards.md 3.3 to 3.9)."""

from __future__ import annotations

from typing import Any

__all__ = ["class_of"]


def class_of(type_name: str) -> Any:
    """The class of a type that has one of its own, or None."""
    from qshim.devices.chipset.table import CLASSES

    return CLASSES.get(type_name)
