"""none: memory and ports, and nothing in them (spec/x86-boards.md 3.13)."""

from __future__ import annotations

from qshim.machines.x86 import X86Machine

__all__ = ["NoneMachine"]


class NoneMachine(X86Machine):
    """A machine without anything."""

    family = "none"
    has_numa = False
    has_acpi = False

    def populate(self) -> None:
        """Nothing."""
