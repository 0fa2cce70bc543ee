"""How long `qshim check` takes over many goldens: `python -m tests.bench.check [LAYOUTS]`."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RECORDINGS = sorted((Path(__file__).parents[2] / "fixtures" / "recordings").rglob("*.qrec.xz"))
BOARDS = ("pc-q35-10.0", "pc-i440fx-10.0", "pc-q35-8.0", "pc-i440fx-7.2")


def project(count: int, kind: str) -> str:
    """A config of *count* layouts, `modelled` or `recorded`."""
    entries = []
    for number in range(count):
        if kind == "recorded":
            entries.append(f'source = "{RECORDINGS[number % len(RECORDINGS)]}"')
        else:
            board = BOARDS[number % len(BOARDS)]
            entries.append(f'args = "-M {board} -m {512 + number}M -device virtio-net-pci"\nqemu_version = "10.0"')
    return "".join(f'[[layout]]\nname = "l{number}"\n{entry}\n' for number, entry in enumerate(entries))


def seconds(folder: Path, *options: str) -> tuple[float, float]:
    """Elapsed time and CPU time of one whole process."""
    start, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "qshim", "check", *options], cwd=folder, timeout=300, check=False,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0
    elapsed, now = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return elapsed, now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime


def main() -> None:
    """Print a line for each kind."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    for kind in ("modelled", "recorded"):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "qshim.toml").write_text(project(count, kind), encoding="utf-8")
            seconds(folder, "--update")
            times = sorted(seconds(folder) for _ in range(3))
            cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
            print(
                f"{count} {kind} layouts, best of 3: {times[0][0]:.2f} s, of which {times[0][1]:.2f} s CPU; "
                f"{cores} cores, load {load:.1f}"
            )


if __name__ == "__main__":
    main()
