"""The table of HMP commands; each family's module enters its rows here when it is imported."""

from __future__ import annotations

from qshim.monitor.hmp.arguments import Flag
from qshim.monitor.registry import Table

__all__ = ["HMP"]

HMP: Table[Flag, str] = Table()
"""Handlers return text with "\\n" line ends."""
