"""Comparing machines: ours with a real QEMU, or two real ones. Starts QEMUs through edge/, compares with layout/."""

from __future__ import annotations

from qshim.crosscheck.run import crosscheck
from qshim.reports.model import Report, Side

__all__ = ["Report", "Side", "crosscheck"]
