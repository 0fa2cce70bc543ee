"""Cross-check a grid of command lines against real QEMUs: one report with shares.

qshim sweep --grid grid.toml --qemu qemu-system-x86_64 --state results.jsonl
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from qshim.errors import CompareError, UsageError

if TYPE_CHECKING:
    from io import FileIO

    from qshim.crosscheck.sweep import Outcome, Summary

__all__ = ["configure", "run"]

_SHOWN = 20
_BEGINS = '{"against": '
"""So does each line of a state file, also one that was cut off."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `qshim sweep`."""
    parser.add_argument("--grid", metavar="FILE", required=True, help="TOML: argv, [axes], [[exclude]]")
    parser.add_argument("--qemu", metavar="BIN[,BIN...]", required=True, help="the emulators to start")
    parser.add_argument("--against", metavar="SOURCE", help="compare with this instead of our model")
    parser.add_argument("--sample", metavar="N", type=int, help="take N command lines of each QEMU")
    parser.add_argument("--seed", metavar="S", type=int, default=0, help="which ones --sample takes (default 0)")
    cpus = os.cpu_count() or 1
    parser.add_argument("--jobs", metavar="N", type=int, default=cpus, help=f"side by side (default: {cpus})")
    parser.add_argument("--state", metavar="FILE", help="keep results here, and go on from what is there")
    parser.add_argument(
        "--minimise", action="store_true", help="shrink one command line for each way of differing, and print it"
    )
    parser.add_argument("--format", choices=("text", "json"), default="text", help="default: text")


def run(args: argparse.Namespace) -> int:
    """Check everything that is not in the state file, then report on all of it."""
    if args.qemu_argv is not None:
        raise UsageError("a sweep takes its command lines from the grid; leave out what stands behind --")
    if args.jobs < 1 or (args.sample is not None and args.sample < 1):
        raise UsageError("--jobs and --sample need a number above 0")
    from qshim.crosscheck.grid import Grid
    from qshim.crosscheck.sweep import identity, summed, sweep
    from qshim.edge.capture import machine_types
    from qshim.edge.real_qemu import run as run_edge

    grid = Grid.read(_text_of(args.grid), args.grid)
    jobs = []
    for qemu in args.qemu.split(","):
        asked = grid if not grid.asked else grid.answered({"machines": run_edge(machine_types(qemu))})
        jobs += [(qemu, case) for case in asked.cases(args.sample, args.seed)]
    if not jobs:
        raise CompareError(f"{args.grid} leaves no command line to compare")
    known = _load(args.state)
    outcomes = [known[key] for q, c in jobs if (key := identity(q, args.against, c.argv)) in known]
    missing = [(q, c) for q, c in jobs if identity(q, args.against, c.argv) not in known]
    with _Progress(len(jobs), len(outcomes)) as progress, _State(args.state, args.against) as state:

        def tell(outcome: Outcome) -> None:
            state.add(outcome)
            outcomes.append(outcome)
            progress.step()

        run_edge(sweep(missing, args.against, args.jobs, tell))
    summary = summed(outcomes)
    if args.minimise:
        _minimise(outcomes, args.against)
    lines = _json(summary, outcomes) if args.format == "json" else _text(summary, outcomes)
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return summary.exit_status


def _minimise(outcomes: list[Outcome], against: str | None) -> None:
    """One command line for each set of kinds, on stderr: the report on stdout stays what it is."""
    import shlex

    from qshim.crosscheck.sweep import smallest
    from qshim.edge.real_qemu import run as run_edge

    shown: set[tuple[str, ...]] = set()
    for outcome in outcomes:
        if outcome.verdict == "differs" and outcome.kinds not in shown:
            shown.add(outcome.kinds)
            argv = run_edge(smallest(outcome, against))
            print(f"smallest with {', '.join(outcome.kinds)}: {shlex.join(argv)}", file=sys.stderr)


def _text_of(name: str) -> str:
    try:
        return Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the grid {name}: {getattr(error, 'strerror', None) or 'no UTF-8'}") from error


class _State:
    """The results so far, one JSON object a line; written at once, so that an interruption loses none."""

    def __init__(self, path: str | None, against: str | None) -> None:
        try:
            # unbuffered: a disk that is full says so at once, and nothing is left to write at the end
            self._file = None if path is None else open(path, "a+b", buffering=0)  # noqa: SIM115
            if self._file is not None:
                _drop_cut_line(self._file)
        except OSError as error:
            raise CompareError(f"cannot write {path}: {error.strerror}") from error
        self._against = against

    def __enter__(self) -> _State:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, outcome: Outcome) -> None:
        """Append one result."""
        if self._file is not None:
            try:
                line = json.dumps({"against": self._against, **_as_dict(outcome)}).encode() + b"\n"
                if self._file.write(line) != len(line):
                    raise OSError(errno.ENOSPC, "the last result was cut off")
            except OSError as error:
                raise CompareError(f"cannot write {self._file.name}: {error.strerror}") from error


def _drop_cut_line(file: FileIO) -> None:
    """Cut off what an interrupted run left behind the last whole line, so that the next one stands on a line."""
    file.seek(0)
    data = file.read()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        file.truncate(whole)


def _as_dict(outcome: Outcome) -> dict[str, object]:
    return {name: getattr(outcome, name) for name in outcome.__slots__}


def _load(path: str | None) -> dict[str, Outcome]:
    """Results of an earlier run; a last line that was cut off is left out."""
    from qshim.crosscheck.sweep import Outcome, identity

    if path is None or not os.path.exists(path):
        return {}
    known = {}
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CompareError(f"cannot read the results in {path}: {error}") from error
    for number, line in enumerate(lines, 1):
        try:
            kept = json.loads(line)
            against = kept.pop("against")
            lists = {name: tuple(kept[name]) for name in ("argv", "kinds", "compared", "unequal")}
            outcome = Outcome(**{**kept, **lists})
        except (ValueError, KeyError, TypeError) as error:
            if number == len(lines) and line.startswith(_BEGINS[: len(line)]):
                break
            raise CompareError(f"{path} is no state of a sweep: line {number} cannot be read") from error
        # what failed is tried again
        if outcome.verdict != "failed":
            known[identity(outcome.qemu, against, outcome.argv)] = outcome
    return known


class _Progress:
    """A progress bar on stderr, where that is a terminal."""

    def __init__(self, total: int, done: int) -> None:
        self._bar = None
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import Progress

            self._bar = Progress(console=Console(stderr=True))
            self._task = self._bar.add_task("cross-checking", total=total, completed=done)

    def __enter__(self) -> _Progress:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def step(self) -> None:
        """One more is done."""
        if self._bar is not None:
            self._bar.advance(self._task)


def _text(summary: Summary, outcomes: list[Outcome]) -> Iterator[str]:
    import shlex

    odd = [outcome for outcome in outcomes if not outcome.agreed]
    for outcome in odd[:_SHOWN]:
        yield f"{outcome.verdict}: {os.path.basename(outcome.qemu)} {shlex.join(outcome.argv)}"
        yield f"    {outcome.detail}"
    if len(odd) > _SHOWN:
        yield f"... and {len(odd) - _SHOWN} more"
    for kind, count in summary.kinds.items():
        yield f"{count:6} with {kind}"
    for reason, count in islice(summary.reasons.items(), _SHOWN):
        yield f"{count:6} not compared: {reason}"
    if len(summary.reasons) > _SHOWN:
        yield f"       ... and {len(summary.reasons) - _SHOWN} more reasons"
    for axis in dict.fromkeys(axis for axis, _ in summary.by_axis):
        shares = {value: share for (name, value), share in summary.by_axis.items() if name == axis}
        good = [value for value, (right, total) in shares.items() if right == total]
        for value, (right, total) in shares.items():
            if len(shares) <= _SHOWN or value not in good:
                yield f"{right:6} of {total:<6} {axis} = {value!r}"
        if len(shares) > _SHOWN and good:
            agreed = sum(shares[value][0] for value in good)
            yield f"{agreed:6} of {agreed:<6} the other {len(good)} values of {axis}"
    for view, (right, total) in summary.by_view.items():
        yield f"{right:6} of {total:<6} texts of {view}"
    if len(summary.by_qemu) > 1:
        for qemu, (right, total) in summary.by_qemu.items():
            yield f"{right:6} of {total:<6} {os.path.basename(qemu)}"
    for version, (right, total) in summary.by_version.items():
        yield f"{right:6} of {total:<6} QEMU {version}"
    counts = ", ".join(f"{count} {verdict}" for verdict, count in summary.verdicts.items())
    yield f"{summary.total[0]:6} of {summary.total[1]:<6} agree ({counts})"


def _json(summary: Summary, outcomes: list[Outcome]) -> Iterator[str]:
    def share(pair: tuple[int, int]) -> dict[str, int]:
        return {"agreed": pair[0], "all": pair[1]}

    yield json.dumps(
        {
            "schema": "qshim/sweep/1",
            "total": share(summary.total),
            "versions": {name: share(pair) for name, pair in summary.by_version.items()},
            "axes": [{"axis": a, "value": v, **share(pair)} for (a, v), pair in summary.by_axis.items()],
            "qemus": {name: share(pair) for name, pair in summary.by_qemu.items()},
            "views": {name: share(pair) for name, pair in summary.by_view.items()},
            "reasons": summary.reasons,
            "kinds": summary.kinds,
            "verdicts": summary.verdicts,
            "outcomes": [_as_dict(outcome) for outcome in outcomes],
        },
        indent=2,
    )
