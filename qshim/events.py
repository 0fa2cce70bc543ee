"""Events of a machine, and the rate at which some of them are told (spec/monitor.md 1.11).

QEMU sends an event of a limited kind at once and then at most one of its kind each second: what
happens in between overwrites a single stored event, which goes out when the second is over.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

__all__ = ["LIMITED", "Event", "Throttle", "now"]

Later = Callable[[float, Callable[[], None]], object]
"""Calls a function after so many seconds, such as an event loop's `call_later`."""

WINDOW = 1.0
"""Seconds between two events of a limited kind."""

LIMITED: Mapping[str, str | None] = {
    "RTC_CHANGE": None,
    "WATCHDOG": None,
    "BALLOON_CHANGE": None,
    "QUORUM_REPORT_BAD": "node-name",
    "QUORUM_FAILURE": None,
    "VSERPORT_CHANGE": "id",
    "MEMORY_DEVICE_SIZE_CHANGE": "qom-path",
}
"""Limited events of every dialect -> the member whose values are told apart, None where there is none."""


class Event(NamedTuple):
    """Something happened: QMP's name, the moment (host wall clock), and data or None."""

    name: str
    seconds: int
    microseconds: int
    data: Mapping[str, object] | None = None


def now(name: str, data: Mapping[str, object] | None = None) -> Event:
    """The event *name*, happening at this moment."""
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    return Event(name, seconds, nanoseconds // 1000, data)


class Throttle:
    """Lets each event through, holds it back, or replaces one that is held back."""

    def __init__(self, send: Callable[[Event], None], more: Mapping[str, str | None] | None = None) -> None:
        """*send* gets what goes out. *more*: further limited events of a dialect."""
        self._send = send
        self._limited = {**LIMITED, **(more or {})}
        self._held: dict[tuple[str, object], Event | None] = {}
        self.later: Later | None = None
        """Without a clock nothing is held back."""

    def take(self, event: Event) -> None:
        """*event* happened."""
        if self.later is None or event.name not in self._limited:
            self._send(event)
            return
        data = event.data or {}
        if event.name == "BLOCK_IO_ERROR" and data.get("action") == "stop":
            self._send(event)
            return
        member = self._limited[event.name]
        key = (event.name, data.get(member) if member is not None else None)
        if key in self._held:
            self._held[key] = event
            return
        self._held[key] = None
        self._send(event)
        self._arm(self.later, key)

    def _arm(self, later: Later, key: tuple[str, object]) -> None:
        def over() -> None:
            event = self._held[key]
            if event is None:
                del self._held[key]
                return
            self._held[key] = None
            self._send(event)
            self._arm(later, key)

        later(WINDOW, over)
