"""The table of QMP commands; each family's module enters its rows here when it is imported."""

from __future__ import annotations

from qshim.monitor.registry import Table

__all__ = ["QMP"]

QMP = Table()
"""Handlers return the value of `return`."""
