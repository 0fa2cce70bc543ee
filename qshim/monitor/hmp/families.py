"""Every family of HMP commands; importing this enters their rows in the table."""

from __future__ import annotations

from qshim.monitor.hmp import (
    absent,
    blocks,
    chardevs,
    control,
    devices,
    examine,
    helping,
    idle,
    interrupts,
    lists,
    machine,
    memory,
    network,
    objects,
    ports,
    saving,
    tracing,
)

__all__ = ["FAMILIES"]

FAMILIES = (
    absent, blocks, chardevs, control, devices, examine, helping, idle, interrupts, lists, machine, memory, network,
    objects, ports, saving, tracing,
)  # fmt: skip
