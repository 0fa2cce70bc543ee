"""The qtest protocol: how QEMU's own test programs drive an emulator, a line at a time."""

from __future__ import annotations

from qshim.monitor.qtest.commands import Qtest, Refused
from qshim.monitor.qtest.session import QtestSession

__all__ = ["Qtest", "QtestSession", "Refused"]
