"""Devices that a board maps at addresses of its own choice."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from qshim.devices.board import Board
from qshim.devices.catalogue import CatalogueDevice, create
from qshim.memory import MemoryRegion
from qshim.qom import QomObject

__all__ = ["place"]

_MAPPED = re.compile(r"mmio ([0-9a-f]{16})/")


def place(
    board: Board,
    type_name: str,
    at: Mapping[str, int],
    *,
    machine: str,
    into: MemoryRegion | None = None,
    properties: Mapping[str, str] | None = None,
    parent: QomObject | None = None,
    name: str | None = None,
    device_id: str | None = None,
    tell: Callable[[CatalogueDevice], None] = lambda device: None,
) -> CatalogueDevice:
    """Plug a device of *type_name*, as it was recorded on *machine*, into the system bus.

    :param at: region (without its number) -> its address; regions that it does not name are mapped nowhere.
    :param into: where they are mapped; None: memory.
    :param parent, name: its place in the object tree; without them it is the next /machine/unattached/device[N].
    :param tell: sets what the device is to know before it is built.
    """
    device = create(board, type_name, device_id=device_id, properties=properties, machine=machine)
    assert isinstance(device, CatalogueDevice)
    layout = device.layout
    moved = {}
    for plan in layout.regions:
        if plan.container is not None and plan.container.startswith("@"):
            if plan.plain in at:
                moved[f"{plan.addr:016x}"] = f"{at[plan.plain]:016x}"
            plan.container = None

    def shown(line: str) -> str:
        found = _MAPPED.match(line)
        return line if found is None else line.replace(found[1], moved.get(found[1], found[1]))

    layout.lines = tuple(shown(line) for line in layout.lines)
    tell(device)
    board.plug(device, board.sysbus, parent=parent, name=name)
    for plan in device.layout.regions:
        if plan.plain in at:
            (into or board.system).add_subregion(device.made[plan.name], at[plan.plain])
    return device
