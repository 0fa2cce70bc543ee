"""Comparing machines: ours with a real QEMU, or two real ones. Starts QEMUs through edge/, compares with layout/."""

from __future__ import annotations

from qshim.crosscheck.report import Report, Side
from qshim.crosscheck.run import crosscheck

__all__ = ["Report", "Side", "crosscheck"]
