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
    interrupts,
    introspect,
    machine,
    migration,
    network,
    objects,
    ports,
    preconfig,
    qom,
    runstate,
    saving,
    tracing,
)

__all__ = [
    "absent", "acpi", "control", "descriptors", "devices", "dump", "idle", "interrupts", "introspect", "machine",
    "migration", "network", "objects", "ports", "preconfig", "qom", "runstate", "saving", "tracing",
]  # fmt: skip
