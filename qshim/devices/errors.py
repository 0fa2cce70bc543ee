"""DeviceError: what QEMU says when a device cannot be made, plugged or unplugged."""

from __future__ import annotations

from qshim.errors import QshimError

__all__ = ["DeviceError"]


class DeviceError(QshimError):
    """A device cannot be had as asked; the text is QEMU's own. *class_*: the QMP error class."""

    def __init__(self, text: str, class_: str = "GenericError", hint: str = "") -> None:
        super().__init__(text)
        self.class_ = class_
        self.hint = hint
        """Lines that QEMU prints after the message on stderr, without a prefix."""
