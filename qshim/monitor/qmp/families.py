"""Imports every family of QMP commands, for the rows they enter."""

from __future__ import annotations

from qshim.monitor.qmp import control, descriptors, idle, introspect, machine, objects, ports, qom, runstate, saving

__all__ = ["control", "descriptors", "idle", "introspect", "machine", "objects", "ports", "qom", "runstate", "saving"]
