"""Rebuild machines from what real QEMUs printed, and compare every text they print then.

    python -m tests.sweep.rebuild PLACE...            captures (*.json) and recordings (*.qrec, *.qrec.xz), or
                                                      directories that hold some
    python -m tests.sweep.rebuild --live BINARY...    every machine type of these QEMU binaries, recorded now

--sample N takes N of them, chosen by --seed. Prints counts for each version and target. Exit status: 0 all
texts are equal, 1 some differ, 3 nothing could be compared.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from qshim.edge.capture import capture_started
from qshim.edge.real_qemu import run, started
from qshim.errors import QshimError, RecordingError
from qshim.layout.verify import comparable, verify
from qshim.recording.format import Recording, lines_of, load
from qshim.recording.importing import from_corpus
from qshim.recording.rebuild import rebuild

_SECONDS = 120.0


@dataclass
class Case:
    """One captured machine and what rebuilding it gave."""

    name: str
    version: str
    target: str
    wrong: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """The differing texts with their diff; `rebuild` when it could not be rebuilt."""
    compared: int = 0
    seconds: float = 0.0


def check(name: str, recording: Recording, further: Sequence[Mapping[str, tuple[str, ...]]] = ()) -> Case:
    """Rebuild *recording* and compare each of its texts, and *further* texts of the same machine."""
    case = Case(name, f"{recording.qemu.major}.{recording.qemu.minor}", recording.target or "?")
    begun = time.perf_counter()
    try:
        rebuilt = rebuild(recording)
    except RecordingError as error:
        case.wrong["rebuild"] = (str(error),)
        return case
    case.seconds = time.perf_counter() - begun
    for hmp in (recording.hmp, *further):
        texts = replace(recording, hmp=hmp)
        case.compared += len(comparable(texts))
        case.wrong.update((difference.command, difference.lines) for difference in verify(texts, rebuilt))
    return case


def places(paths: Sequence[str]) -> list[Path]:
    """Captures and recordings below *paths*, sorted."""
    found: list[Path] = []
    for path in map(Path, paths):
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        found += [f for f in files if f.name.endswith((".json", ".qrec", ".qrec.xz"))]
    return found


def cases_of(path: Path) -> Iterator[Case]:
    """The cases of one file: none for a capture without machine, one for each process in it."""
    name = "/".join(path.parts[-3:])
    if path.name.endswith((".qrec", ".qrec.xz")):
        yield check(name, load(path))
        return
    capture = json.loads(path.read_bytes())
    if not isinstance(capture, dict) or capture.get("outcome") != "ok":
        return
    processes = [capture]
    second = (capture.get("second_run") or {}).get("hmp")
    if second:
        processes.append({**capture, "hmp": {**capture["hmp"], **second}})
    raw = [_memory_texts(process["hmp"]) for process in processes]
    for process in processes:
        # as QEMU printed it, and in the order in which recordings are kept
        recording = from_corpus(process)
        yield check(name, recording, raw)
        yield check(name, replace(recording, hmp=raw[processes.index(process)]))


def _memory_texts(hmp: Mapping[str, object]) -> dict[str, tuple[str, ...]]:
    texts = {c: lines_of(t) for c, t in hmp.items() if isinstance(t, str)}
    return {c: t for c, t in texts.items() if c.startswith(("info mtree", "info ramblock", "info qom-tree"))}


async def machine_types(binary: str) -> list[str]:
    """Every machine type that *binary* offers."""
    async with started(binary, ["-machine", "none"]) as qemu:
        return sorted(machine["name"] for machine in await qemu.qmp("query-machines"))


async def live_cases(jobs: Sequence[tuple[str, str]], skipped: Counter[str]) -> AsyncIterator[Case]:
    """Record each (binary, machine type), two side by side; those that do not start are counted in *skipped*."""
    two = asyncio.Semaphore(2)

    async def one(binary: str, machine: str) -> Case | None:
        async with two:
            try:
                capture = await asyncio.wait_for(capture_started(binary, ["-machine", machine], verify=True), _SECONDS)
            except (QshimError, TimeoutError) as error:
                skipped[f"{os.path.basename(binary)} {machine}: {str(error)[:100]}"] += 1
                return None
            return check(f"{os.path.basename(binary)} {machine}", capture.recording, [capture.verification])

    tasks = [asyncio.create_task(one(*job)) for job in jobs]
    try:
        for done in asyncio.as_completed(tasks):
            case = await done
            if case is not None:
                yield case
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Tally:
    """Counts cases, tells of the wrong ones, and sums up."""

    def __init__(self) -> None:
        self.right: Counter[tuple[str, str]] = Counter()
        self.all: Counter[tuple[str, str]] = Counter()
        self.texts = 0
        self.seconds: list[float] = []

    def add(self, case: Case) -> None:
        key = case.version, case.target
        self.all[key] += 1
        self.right[key] += not case.wrong
        self.texts += case.compared
        self.seconds.append(case.seconds)
        for command, lines in case.wrong.items():
            print(f"DIFFERS {case.name}: {command}", *lines[:12], sep="\n    ", flush=True)

    def report(self) -> int:
        for version, target in sorted(self.all):
            print(f"{version:>5} {target:<14} {self.right[version, target]:>5} of {self.all[version, target]}")
        right, total = self.right.total(), self.all.total()
        if not total:
            print("nothing could be compared")
            return 3
        seconds = sorted(self.seconds)
        print(
            f"{right} of {total} machines, {self.texts} texts compared; rebuilding took "
            f"{seconds[total // 2] * 1000:.0f} ms (median), {seconds[-1] * 1000:.0f} ms (longest)"
        )
        return 0 if right == total else 1


async def _live(binaries: Sequence[str], arguments: argparse.Namespace, tally: Tally) -> None:
    jobs = [(binary, machine) for binary in binaries for machine in await machine_types(binary)]
    skipped: Counter[str] = Counter()
    async for case in live_cases(_sampled(jobs, arguments), skipped):
        tally.add(case)
    for reason in sorted(skipped):
        print(f"not recorded: {reason}")


def _sampled(things: list, arguments: argparse.Namespace) -> list:  # type: ignore[type-arg]
    if arguments.sample is None or arguments.sample >= len(things):
        return things
    return random.Random(arguments.seed).sample(things, arguments.sample)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the sweep with command line *argv*; returns the exit status."""
    parser = argparse.ArgumentParser(prog="tests.sweep.rebuild", description="Rebuild recorded machines and compare.")
    parser.add_argument("places", nargs="*", help="captures, recordings, or directories with some")
    parser.add_argument("--live", nargs="+", default=[], metavar="BINARY", help="QEMU binaries to record now")
    parser.add_argument("--sample", type=int, help="how many to take")
    parser.add_argument("--seed", type=int, default=0, help="which ones --sample takes")
    arguments = parser.parse_args(argv)
    tally = Tally()
    for path in _sampled(places(arguments.places), arguments):
        for case in cases_of(path):
            tally.add(case)
    if arguments.live:
        run(_live(arguments.live, arguments, tally))
    return tally.report()


if __name__ == "__main__":
    sys.exit(main())
