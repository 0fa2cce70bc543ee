"""Which types have rules."""

from __future__ import annotations

from collections.abc import Callable

from qshim.devices.layout import Layout
from qshim.devices.qdev import Device

__all__ = ["RULES", "Rule"]

Rule = Callable[[Device, Layout], None]

RULES: dict[str, tuple[Rule, ...]] = {}
"""Type -> rules in the order they are applied."""
