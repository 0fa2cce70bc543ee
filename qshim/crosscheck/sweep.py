"""Cross-checks of a whole grid: side by side, resumable, one report with shares.

Command lines are checked in processes beside each other, so that one that crashes or hangs is one
result and no more. Results are appended to a state file as they come; a sweep that is started again
with the same file does what is missing.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from qshim.crosscheck.grid import Case
from qshim.crosscheck.minimise import minimise
from qshim.edge.children import Ended, side_by_side
from qshim.views.typed import JsonObject

__all__ = [
    "SWEEP_SCHEMA", "WORKER", "Outcome", "Summary", "identity", "outcome_of", "request_of", "smallest", "summed",
    "sweep",
]  # fmt: skip

AGREED = ("same", "refused by both")
"""Verdicts that count as agreement in a sweep: two QEMUs that refuse alike agree, too."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one cross-check of a sweep gave."""

    qemu: str
    values: Mapping[str, str]
    argv: tuple[str, ...]
    verdict: str
    """A verdict of a report, or `failed` when there was none."""
    kinds: tuple[str, ...]
    """Kinds of changes, and `text: COMMAND` for texts that differ without one."""
    detail: str
    """The first difference, or why there was no report."""
    version: str | None
    seconds: float
    compared: tuple[str, ...] = ()
    """Views whose texts were compared."""
    unequal: tuple[str, ...] = ()
    """Those that differ."""

    @property
    def agreed(self) -> bool:
        """Both sides are the same, or refuse in the same words."""
        return self.verdict in AGREED


@dataclass(frozen=True, slots=True)
class Summary:
    """Shares: (right, all) for each."""

    total: tuple[int, int]
    by_version: Mapping[str, tuple[int, int]]
    by_axis: Mapping[tuple[str, str], tuple[int, int]]
    by_view: Mapping[str, tuple[int, int]]
    by_qemu: Mapping[str, tuple[int, int]]
    kinds: Mapping[str, int]
    """Kind of difference -> command lines that have it."""
    verdicts: Mapping[str, int]
    reasons: Mapping[str, int]
    """Why command lines were not compared -> how many."""

    @property
    def exit_status(self) -> int:
        """0 all agree, 1 some differ, 3 some (or all) could not be compared."""
        bad = set(self.verdicts) - set(AGREED)
        return 3 if bad - {"differs"} or not self.total[1] else int("differs" in bad)


WORKER = (sys.executable, "-m", "qshim.cli.worker")
"""The process that checks command lines, one after the other."""


def request_of(qemu: str, argv: Sequence[str], against: str | None) -> str:
    """What a worker is asked, as a line."""
    return json.dumps({"qemu": qemu, "against": against, "argv": list(argv)})


def identity(qemu: str, against: str | None, argv: Sequence[str]) -> str:
    """What makes a result reusable: the same QEMUs and the same words."""
    return json.dumps([qemu, against, list(argv)])


async def sweep(
    jobs: Sequence[tuple[str, Case]], against: str | None, workers: int, tell: Callable[[Outcome], None]
) -> None:
    """Check every (QEMU, case), *workers* at a time; *tell* hears of each as it ends."""
    requests = [request_of(qemu, case.argv, against) for qemu, case in jobs]
    async with aclosing(side_by_side(WORKER, requests, workers)) as results:
        async for ended in results:
            qemu, case = jobs[ended.number]
            tell(outcome_of(qemu, case, ended))


async def smallest(outcome: Outcome, against: str | None) -> tuple[str, ...]:
    """The smallest command line that still differs in one of the ways in which *outcome* does."""

    async def differs(argv: Sequence[str]) -> bool:
        case = Case({}, tuple(argv))
        requests = [request_of(outcome.qemu, argv, against)]
        async with aclosing(side_by_side(WORKER, requests, 1)) as results:
            found = outcome_of(outcome.qemu, case, await anext(results))
        return found.verdict == outcome.verdict and bool(set(found.kinds) & set(outcome.kinds))

    return await minimise(outcome.argv, differs)


def outcome_of(qemu: str, case: Case, ended: Ended) -> Outcome:
    """Read the report of a cross-check that ended; without a report it failed, whatever its status."""

    views: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())

    def outcome(verdict: str, kinds: Sequence[str], detail: str, version: str | None) -> Outcome:
        unique = tuple(dict.fromkeys(kinds))
        seconds = round(ended.seconds, 3)
        return Outcome(qemu, case.values, case.argv, verdict, unique, detail, version, seconds, *views)

    if ended.answer is None:
        return outcome("failed", (), ended.reason, None)
    report = json.loads(ended.answer)
    if "failed" in report:
        return outcome("failed", (), report["failed"], None)
    views = tuple(report["compared"]), tuple(report["unequal"])
    kinds = [change["kind"] for change in report["changes"]] + [f"text: {t['command']}" for t in report["texts"]]
    found = [change["what"] for change in report["changes"]] + [t["diff"][0] for t in report["texts"]]
    refused = [side["refused"] for side in (report["left"], report["right"]) if side["refused"] is not None]
    verdict = report["verdict"]
    if verdict == "refused by both" and len(set(refused)) > 1:
        verdict = "refused differently"
    return outcome(verdict, kinds, " / ".join(found[:1] or dict.fromkeys(refused)), report["left"]["version"])


def summed(outcomes: Sequence[Outcome]) -> Summary:
    """Count a sweep's outcomes."""

    def shares(key: Callable[[Outcome], Sequence[tuple[str, ...]]]) -> dict[tuple[str, ...], tuple[int, int]]:
        right: Counter[tuple[str, ...]] = Counter()
        total: Counter[tuple[str, ...]] = Counter()
        for outcome in outcomes:
            for name in key(outcome):
                total[name] += 1
                right[name] += outcome.agreed
        return {name: (right[name], total[name]) for name in sorted(total)}

    views: Counter[str] = Counter(view for o in outcomes for view in o.compared)
    wrong: Counter[str] = Counter(view for o in outcomes for view in o.unequal)
    qemus = shares(lambda o: [(o.qemu,)])
    versions = shares(lambda o: [(o.version or "did not start",)])
    axes = shares(lambda o: [(axis, value) for axis, value in o.values.items()])
    return Summary(
        (sum(o.agreed for o in outcomes), len(outcomes)),
        {name[0]: share for name, share in versions.items()},
        {(name[0], name[1]): share for name, share in axes.items()},
        {view: (views[view] - wrong[view], views[view]) for view in sorted(views)},
        {name[0]: share for name, share in qemus.items()},
        dict(Counter(kind for o in outcomes for kind in o.kinds).most_common()),
        dict(Counter(o.verdict for o in outcomes).most_common()),
        dict(Counter(o.detail for o in outcomes if not o.agreed and o.verdict != "differs").most_common()),
    )


_SHARE: JsonObject = {"agreed": {"type": "integer"}, "all": {"type": "integer"}}
_COUNTS: JsonObject = {"type": "object", "additionalProperties": {"type": "integer"}}
_TEXT: JsonObject = {"type": "string"}
_TEXTS: JsonObject = {"type": "array", "items": _TEXT}
SWEEP_SCHEMA: JsonObject = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "qshim/sweep/1",
    "description": "what `qshim sweep --format json` prints",
    "type": "object",
    "properties": {
        "schema": {"const": "qshim/sweep/1"},
        "total": {"type": "object", "properties": _SHARE, "required": ["agreed", "all"]},
        "versions": {"type": "object", "additionalProperties": {"type": "object", "properties": _SHARE}},
        "axes": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"axis": _TEXT, "value": _TEXT, **_SHARE},
                "required": ["axis", "value", "agreed", "all"],
            },
        },
        "views": {"type": "object", "additionalProperties": {"type": "object", "properties": _SHARE}},
        "qemus": {"type": "object", "additionalProperties": {"type": "object", "properties": _SHARE}},
        "reasons": {**_COUNTS, "description": "why command lines were not compared -> how many"},
        "kinds": {**_COUNTS, "description": "kind of difference -> command lines that have it"},
        "verdicts": _COUNTS,
        "outcomes": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "qemu": _TEXT,
                    "values": {"type": "object", "additionalProperties": _TEXT},
                    "argv": _TEXTS,
                    "verdict": _TEXT,
                    "kinds": _TEXTS,
                    "detail": _TEXT,
                    "version": {"type": ["string", "null"]},
                    "seconds": {"type": "number"},
                    "compared": _TEXTS,
                    "unequal": _TEXTS,
                },
                "required": ["qemu", "values", "argv", "verdict", "kinds", "detail", "version", "seconds",
                             "compared", "unequal"],
                "additionalProperties": False,
            },
        },
    },
    "required": ["schema", "total", "versions", "qemus", "axes", "views", "kinds", "verdicts", "reasons", "outcomes"],
    "additionalProperties": False,
}
"""JSON Schema of a sweep's report."""
