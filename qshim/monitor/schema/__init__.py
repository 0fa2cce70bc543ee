"""QEMU's own QAPI schema as data: what query-qmp-schema answers, and the check of every command's arguments."""

from __future__ import annotations

from qshim.monitor.schema.load import Schema, schema_of

__all__ = ["Schema", "schema_of"]
