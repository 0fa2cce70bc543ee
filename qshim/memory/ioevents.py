"""ioeventfds: writes that signal an event instead of calling the device (spec/memory.md 1.6)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import total_ordering
from typing import Protocol

__all__ = ["IoEventFd", "Notifier"]


class Notifier(Protocol):
    """What gets signalled; an eventfd or anything else with a `set`."""

    def set(self) -> None:
        """Signal once."""


@total_ordering
@dataclass(frozen=True, slots=True)
class IoEventFd:
    """One ioeventfd; sorted by start, size, whether data must match, that data, and the notifier's identity."""

    start: int
    size: int
    match_data: bool
    data: int
    notifier: Notifier

    @classmethod
    def of(
        cls, start: int, size: int, match_data: bool, data: int, notifier: Notifier, *, swap: bool = False
    ) -> IoEventFd:
        """As a device asks for it; *swap* turns *data* from target into device byte order when a size is given."""
        if swap and size:
            data = int.from_bytes(data.to_bytes(size, "little"), "big")
        return cls(start, size, match_data, data, notifier)

    def _key(self) -> tuple[int, int, bool, int, int]:
        return (self.start, self.size, self.match_data, self.data if self.match_data else 0, id(self.notifier))

    def __lt__(self, other: IoEventFd) -> bool:
        return self._key() < other._key()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, IoEventFd) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def matches(self, start: int, size: int, data: int) -> bool:
        """Whether a write of *size* bytes at region offset *start* signals this one."""
        if start != self.start:
            return False
        return not self.size or (size == self.size and (not self.match_data or data == self.data))
