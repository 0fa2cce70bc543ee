"""none: memory and ports, and nothing in them (spec/x86-boards.md 3.13)."""

from __future__ import annotations

from qshim.machines.machine import Machine

__all__ = ["NoneMachine"]


class NoneMachine(Machine):
    """A machine without anything."""

    family = "none"
    has_numa = False
    has_acpi = False

    @property
    def page_bits(self) -> int:
        """Arm has pages of 1 KiB, where no machine type says otherwise."""
        return 10 if self.request.target in ("aarch64", "arm") else 12

    def populate(self) -> None:
        """RAM at 0, where somebody asked for some."""
        if self.ram is not None:
            self.board.system.add_subregion(self.ram, 0)
        if self.plan.vga not in (None, "none"):
            self.warn(
                "A -vga option was passed but this machine type does not use that option; "
                "No VGA device has been created"
            )
