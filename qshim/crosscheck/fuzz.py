"""Random steps on a real QEMU and on our model, shrunk to the fewest that still differ.

hypothesis makes the sequences and shrinks them; it is the extra `fuzz`. Each sequence gets a QEMU of
its own, so that no earlier step can be the reason.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from qshim.errors import UsageError
from qshim.reports.model import Report

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

__all__ = ["Found", "fuzz", "sequences"]

_IDS = tuple(f"b{number}" for number in range(6))
_LONGEST = 20


@dataclass(frozen=True, slots=True)
class Found:
    """What a fuzz run found."""

    tried: int
    """Sequences that ran, those of shrinking included."""
    steps: tuple[str, ...]
    """The smallest sequence that differs; empty when none did."""
    report: Report | None
    """Its report, or the report of a run that could not compare."""


def sequences() -> SearchStrategy[list[str]]:
    """Memory backends that come and go, by HMP and QMP, with sizes that fit pages and sizes that do not."""
    from hypothesis import strategies as st

    sizes = st.one_of(
        st.integers(0, 1 << 14), st.integers(1, 1 << 25), st.integers(12, 25).map(lambda bits: 1 << bits)
    )
    ids = st.sampled_from(_IDS)
    hmp_add = st.builds(lambda name, size: f"object_add memory-backend-ram,id={name},size={size}B", ids, sizes)
    qmp_add = st.builds(lambda name, size, share: _qmp_add(name, size, share), ids, sizes, st.booleans())
    steps = st.one_of(
        hmp_add,
        qmp_add,
        ids.map(lambda name: f"object_del {name}"),
        st.sampled_from(["info memdev", "info ramblock", "info memory_size_summary"]),
    )
    return st.lists(steps, min_size=1, max_size=_LONGEST)


def _qmp_add(name: str, size: int, share: bool) -> str:
    arguments = {"qom-type": "memory-backend-ram", "id": name, "size": size, "share": share}
    return json.dumps({"execute": "object-add", "arguments": arguments})


def fuzz(run: Callable[[Sequence[str]], Report], *, examples: int, seed: int) -> Found:
    """Try *examples* sequences with *run*; the first that differs is shrunk.

    A run that could not compare ends it: nothing is known then, and `Found.report` says why.

    :raises UsageError: hypothesis is not installed.
    """
    try:
        from hypothesis import HealthCheck, Phase, find, settings
        from hypothesis.errors import NoSuchExample
    except ImportError:
        raise UsageError("qshim fuzz needs hypothesis: pip install 'qshim[fuzz]'") from None
    tried, last, broken = 0, None, None

    def differs(steps: list[str]) -> bool:
        nonlocal tried, last, broken
        if broken is not None:
            return False
        tried += 1
        report = run(steps)
        if report.exit_status == 3:
            broken = report
            return False
        if report.exit_status:
            last = report
        return bool(report.exit_status)

    chosen = settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    try:
        smallest = tuple(find(sequences(), differs, settings=chosen, random=Random(seed)))
    except NoSuchExample:
        smallest = ()
    if broken is not None:
        return Found(tried, (), broken)
    return Found(tried, smallest, last)
