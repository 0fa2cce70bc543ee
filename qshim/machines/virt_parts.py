"""What the virt boards of all targets make alike (spec/virt-boards.md 2, 9)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qshim.devices.board import Board
from qshim.devices.catalogue import CatalogueDevice
from qshim.devices.recorded import catalogue
from qshim.devices.sysbus import place
from qshim.machines.errors import MachineError
from qshim.qom.types import QomTypes

__all__ = ["check_features", "cpu_objects", "make_fw_cfg"]


def make_fw_cfg(board: Board, data: int, ctl: int, dma: int) -> None:
    """fw_cfg with its registers at these addresses."""

    def tell(device: CatalogueDevice) -> None:
        layout = device.layout
        layout.regions = [plan for plan in layout.regions if plan.plain.startswith("fwcfg.")]

    where = {"fwcfg.data": data, "fwcfg.ctl": ctl, "fwcfg.dma": dma}
    place(board, "fw_cfg_mem", where, machine="virt", parent=board.machine, name="fw_cfg", tell=tell)


def cpu_objects(board: Board, cpu_type: str) -> Sequence[Sequence[Any]]:
    """(name, type, how many) of what hangs below a CPU of *cpu_type*."""
    known = catalogue(board.quirks.label, board.target)
    entry = None if known is None else known.entry(cpu_type, "virt")
    objects: Sequence[Sequence[Any]] = () if entry is None else entry["f"].get("o", ())
    return objects


_BOOLEANS = ("on", "yes", "true", "y", "off", "no", "false", "n")


def check_features(type_name: str, given: Mapping[str, str], types: QomTypes | None) -> None:
    """Whether CPUs of *type_name* take the features *given*; *types* are those of the QEMU, None: nobody knows them.

    :raises MachineError: they do not.
    """
    told = types.properties(type_name) if given and types is not None else None
    kinds = {row["name"]: row["type"] for row in told} if isinstance(told, list) else {}
    for key, value in given.items() if kinds else ():
        where = f"can't apply global {type_name}.{key}={value}: "
        if key not in kinds:
            raise MachineError(f"{where}Property '{type_name}.{key}' not found")
        if kinds[key] == "bool" and value not in _BOOLEANS:
            raise MachineError(f"{where}Parameter '{key}' expects 'on' or 'off'")
