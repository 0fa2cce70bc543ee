"""How many command lines a minute are cross-checked on two cores, and what share of that QEMU's own start has.

    python -m tests.bench.crosscheck [--qemu BIN] [--runs N]

Checks one command line N times side by side as a sweep does, and measures beside it what one real QEMU takes from its
start to its greeting and to the end of its answers. Prints figures; exit status 3 where there is no QEMU.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Sequence

from qshim.crosscheck.grid import Case
from qshim.crosscheck.run import crosscheck
from qshim.crosscheck.sweep import Outcome, sweep
from qshim.edge.capture import capture_started
from qshim.edge.real_qemu import started
from tests.support.oracle import binaries

ARGV = ("-M", "q35", "-m", "256M", "-device", "virtio-net-pci")


def cpu() -> tuple[float, float]:
    """Processor seconds of this process, and of children that ended."""
    mine, theirs = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return mine.ru_utime + mine.ru_stime, theirs.ru_utime + theirs.ru_stime


def measured(what: Callable[[], Awaitable[object]], runs: int) -> tuple[float, float, float]:
    """Medians of elapsed time, our processor time, and that of children, in seconds."""

    async def once() -> None:
        await what()

    rows = []
    for _ in range(runs):
        begun, before = time.perf_counter(), cpu()
        asyncio.run(once())
        after = cpu()
        rows.append((time.perf_counter() - begun, after[0] - before[0], after[1] - before[1]))
    elapsed, ours, theirs = zip(*rows, strict=True)
    return statistics.median(elapsed), statistics.median(ours), statistics.median(theirs)


def main(words: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--qemu", default=binaries().get(("11.1", "x86_64")))
    parser.add_argument("--runs", type=int, default=10)
    args = parser.parse_args(words)
    if args.qemu is None:
        print("no QEMU 11.1 for x86_64 is installed (tests/qemu/install.sh)", file=sys.stderr)
        return 3

    async def start_only() -> None:
        async with started(args.qemu, ARGV):
            pass

    async def answers() -> None:
        await capture_started(args.qemu, ARGV, verify=True)

    async def whole() -> None:
        assert (await crosscheck(ARGV, qemu=args.qemu)).verdict == "same"

    print(f"{args.qemu} {' '.join(ARGV)}, medians of {args.runs}")
    print(f"{'':34}{'elapsed':>10}{'our CPU':>10}{'QEMU CPU':>10}")
    parts = (("QEMU's start to its greeting", start_only), ("and all answers", answers), ("whole check", whole))
    for name, what in parts:
        elapsed, ours, theirs = measured(what, args.runs)
        print(f"{name:34}{elapsed * 1e3:8.0f}ms{ours * 1e3:8.0f}ms{theirs * 1e3:8.0f}ms")
    outcomes: list[Outcome] = []
    jobs = [(args.qemu, Case({"run": str(number)}, ARGV)) for number in range(args.runs * 6)]
    begun, before = time.perf_counter(), cpu()
    asyncio.run(sweep(jobs, None, 2, outcomes.append))
    elapsed, used = time.perf_counter() - begun, cpu()[1] - before[1]
    assert all(outcome.agreed for outcome in outcomes), [outcome.detail for outcome in outcomes]
    rate = 60 * len(jobs) / elapsed
    print(f"sweep, two at a time: {rate:.0f} command lines a minute, {used / len(jobs):.2f} s CPU each")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
