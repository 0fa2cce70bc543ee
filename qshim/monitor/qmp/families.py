"""Imports every family of QMP commands, for the rows they enter."""

from __future__ import annotations

from qshim.monitor.qmp import (
    absent,
    acpi,
    control,
    descriptors,
    devices,
    dump,
    idle,
    introspect,
    machine,
    objects,
    ports,
    qom,
    runstate,
    saving,
)

__all__ = [
    "absent", "acpi", "control", "descriptors", "devices", "dump", "idle", "introspect", "machine", "objects", "ports",
    "qom", "runstate", "saving",
]  # fmt: skip
