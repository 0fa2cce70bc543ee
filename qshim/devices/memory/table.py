"""Which device types are memory devices, and what makes them."""

from __future__ import annotations

from collections.abc import Mapping

from qshim.devices.board import Board
from qshim.devices.memory.dimm import Dimm, NvDimm, SpMem
from qshim.devices.properties import check_properties
from qshim.devices.qdev import Device

__all__ = ["memory_device"]

_CLASSES: Mapping[str, type[Dimm]] = {"pc-dimm": Dimm, "nvdimm": NvDimm, "sp-mem": SpMem}


def memory_device(board: Board, driver: str, name: str | None, properties: Mapping[str, str]) -> Device | None:
    """A memory device of type *driver*, None if it is none.

    :raises DeviceError: it does not take *properties*.
    """
    made = _CLASSES.get(driver)
    if made is None:
        return None
    check_properties(board, driver, properties)
    return made(board, driver, device_id=name, properties=properties)
