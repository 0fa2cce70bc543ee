"""Which types have classes of their own."""

from __future__ import annotations

from typing import Any

__all__ = ["CLASSES"]

CLASSES: dict[str, Any] = {}
