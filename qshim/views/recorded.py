"""Texts of a recorded machine that qshim has no model behind: shown as the recording has them.

They stay true as long as nothing changes what they tell about, and no command of qshim does: devices
are neither plugged nor unplugged, and no guest moves a BAR.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from qshim.errors import QshimError

if TYPE_CHECKING:
    from qshim.vm import Vm

__all__ = ["NotRecorded", "qtree_text", "recorded_text"]

_BUS_OR_DEVICE = re.compile(r" *(?:(?:bus|dev): |type [^=])")


class NotRecorded(QshimError):
    """Neither the model nor the recording knows."""


def recorded_text(vm: Vm, command: str) -> str:
    """What *command* prints on *vm*.

    :raises NotRecorded: the machine is none of a recording, or its recording lacks this text.
    """
    text = vm.recorded_text(command)
    if text is None:
        raise NotRecorded(f"{command} is not modelled by qshim for this machine")
    return text


def qtree_text(vm: Vm, *, brief: bool) -> str:
    """`info qtree`; *brief*: buses and devices without their properties.

    :raises NotRecorded: see `recorded_text`.
    """
    text = recorded_text(vm, "info qtree")
    if not brief:
        return text
    return "".join(line for line in text.splitlines(keepends=True) if _BUS_OR_DEVICE.match(line))
