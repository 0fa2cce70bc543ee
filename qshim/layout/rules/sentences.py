"""Assertions of a project, one sentence each.

    RAM below 4G is at least 3G            RAM above 4G is exactly 1G          RAM is at most 8G
    nothing but hpet in 0xfed00000+1K      nothing in 0xfee00000-0xfeefffff
    at most 32 slots                       pc.ram is exactly 4G                hpet at 0xfed00000

Sizes and addresses are numbers with K, M, G or T behind them; slots are ranges of memory in the view of the CPUs; RAM
counts with what ROMs and registers hide of it. A name is that of a memory region, or of a RAM block where its length
is asserted.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

from qshim.errors import UsageError
from qshim.layout.rules.facts import MAPPED, main_ram, view_of
from qshim.layout.snapshot import Snapshot
from qshim.units import hex_plain, span

__all__ = ["Assertion", "parse_sentence"]

_HOW: dict[str, Callable[[int, int], bool]] = {
    "at least": operator.ge, "at most": operator.le, "exactly": operator.eq,
}  # fmt: skip
_N = r"(?:0x[0-9a-fA-F]+|\d+)[KMGT]?"
_COMPARED = rf"(?P<how>at least|at most|exactly) (?P<size>{_N})"
_FORMS = {
    "ram": re.compile(rf"RAM(?: (?P<side>below|above) (?P<limit>{_N}))? is {_COMPARED}"),
    "only": re.compile(rf"nothing(?: but (?P<names>.+?))? in (?P<start>{_N})(?P<sign>[+-])(?P<end>{_N})"),
    "slots": re.compile(rf"{_COMPARED} slots?"),
    "at": re.compile(rf"(?P<name>\S+) at (?P<start>{_N})"),
    "block": re.compile(rf"(?P<name>\S+) is {_COMPARED}"),
}


@dataclass(frozen=True, slots=True)
class Assertion:
    """One sentence that has to hold."""

    text: str
    form: str
    """A key of the forms above."""
    parts: dict[str, str | None]
    reason: str | None = None
    """Why it has to hold, for the report."""
    layouts: str = "*"
    """Pattern of the names of the layouts that it is about."""

    def failure(self, snapshot: Snapshot) -> str | None:
        """Why it does not hold for *snapshot*; None if it does."""
        check: Callable[[Snapshot], str | None] = getattr(self, f"_{self.form}")
        return check(snapshot)

    def _compare(self, value: int, unit: str = "bytes") -> str | None:
        wanted = _number(self.parts["size"])
        if _HOW[str(self.parts["how"])](value, wanted):
            return None
        return f"it is {hex_plain(value) if unit == 'bytes' else value} {unit}"

    def _ram(self, snapshot: Snapshot) -> str | None:
        limit = _number(self.parts["limit"]) if self.parts["limit"] else 1 << 64
        above = self.parts["side"] == "above"
        spans: dict[tuple[str, int], tuple[int, int]] = {}
        for r in main_ram(snapshot):
            low, end = spans.get((r.name, r.start - r.offset), (r.start, 0))
            spans[r.name, r.start - r.offset] = min(low, r.start), max(end, r.last + 1)
        total = 0
        for start, end in spans.values():
            low, high = (max(start, limit), end) if above else (start, min(end, limit))
            total += max(0, high - low)
        return self._compare(total)

    def _only(self, snapshot: Snapshot) -> str | None:
        start, end = _number(self.parts["start"]), _number(self.parts["end"])
        last = start + end - 1 if self.parts["sign"] == "+" else end
        allowed = {name.strip() for name in (self.parts["names"] or "").split(",")}
        view = view_of(snapshot)
        for r in view.ranges if view else ():
            if r.start <= last and start <= r.last and r.name not in allowed:
                return f"'{r.name}' is visible at {span(max(start, r.start), min(last, r.last))}"
        return None

    def _slots(self, snapshot: Snapshot) -> str | None:
        view = view_of(snapshot)
        return self._compare(sum(r.type in MAPPED for r in view.ranges) if view else 0, "slots")

    def _at(self, snapshot: Snapshot) -> str | None:
        view = view_of(snapshot)
        start = _number(self.parts["start"])
        there = next((r for r in view.ranges if r.start <= start <= r.last), None) if view else None
        if there is not None and there.name == self.parts["name"]:
            return None
        return f"{'nothing' if there is None else repr(there.name)} is visible there"

    def _block(self, snapshot: Snapshot) -> str | None:
        for row in snapshot.layout.blocks:
            if row.name == self.parts["name"]:
                return self._compare(row.used_length)
        return "there is no such RAM block"


def parse_sentence(text: str, *, reason: str | None = None, layouts: str = "*") -> Assertion:
    """The assertion that *text* makes.

    :raises UsageError: it is no sentence of a known form.

    >>> parse_sentence("at most 32 slots").form
    'slots'
    """
    for form, pattern in _FORMS.items():
        match = pattern.fullmatch(" ".join(text.split()))
        if match is not None:
            return Assertion(text, form, match.groupdict(), reason, layouts)
    raise UsageError(
        f"cannot understand the assertion {text!r}; examples: 'RAM below 4G is at least 3G', "
        "'nothing but hpet in 0xfed00000+1K', 'at most 32 slots', 'pc.ram is exactly 4G', 'hpet at 0xfed00000'"
    )


def _number(text: str | None) -> int:
    assert text is not None
    factor = {"K": 10, "M": 20, "G": 30, "T": 40}.get(text[-1])
    return int(text, 0) if factor is None else int(text[:-1], 0) << factor
