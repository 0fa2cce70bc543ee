"""How long to wait before trying again."""

from __future__ import annotations

import random
from collections.abc import Callable

__all__ = ["Backoff"]


class Backoff:
    """Waits that double from *first* to *most* seconds, each between half of it and all of it by chance.

    Without the chance, a hundred bridges that lost one broker would all come back in the same moment.
    """

    def __init__(self, first: float, most: float, chance: Callable[[], float] = random.random) -> None:
        """*chance* gives a number from 0 to 1."""
        self._first = first
        self._most = most
        self._chance = chance
        self._next = first

    def wait(self) -> float:
        """Seconds until the next attempt; each call counts as one that failed."""
        seconds = self._next * (0.5 + self._chance() / 2)
        self._next = min(self._next * 2, self._most)
        return seconds

    def reset(self) -> None:
        """An attempt succeeded."""
        self._next = self._first
