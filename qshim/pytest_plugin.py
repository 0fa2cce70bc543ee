"""Fixtures for other people's tests; pytest finds them by itself when qshim is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from qshim.testing import running

__all__ = ["qemu"]


@pytest.fixture
def qemu() -> type[running]:
    """Makes served machines: `async with qemu("q35") as vm`, or `with qemu(["-M", "pc"]) as vm` (`qshim.running`)."""
    from qshim.testing import running

    return running
