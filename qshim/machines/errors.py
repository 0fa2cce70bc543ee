"""What QEMU says when it does not start a machine."""

from __future__ import annotations

from qshim.errors import QshimError

__all__ = ["MachineError"]


class MachineError(QshimError):
    """QEMU does not start such a machine; the text is its own."""

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines
