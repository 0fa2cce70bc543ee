"""Measure qshim's server beside a real QEMU in the same run, and print a table with ratios.

    python -m tests.bench.run --qemu qemu-system-x86_64 [--recording FILE] [--machine q35] [--seconds S]

Both serve the same machine paused on a unix socket and are measured in turn, several rounds, so that
a busy host slows both. Printed is the better of the rounds for each. Without --recording one is made
of the QEMU first. Behind the table: what a commit of the memory model costs. Nothing here is a test: no
number makes it fail.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench import commit

CLOCK = os.sysconf("SC_CLK_TCK")
QUESTIONS = {
    "query-status": {"execute": "query-status"},
    "info mtree": {"execute": "human-monitor-command", "arguments": {"command-line": "info mtree"}},
    "info mtree -f": {"execute": "human-monitor-command", "arguments": {"command-line": "info mtree -f"}},
}


@dataclass
class Served:
    """A process that serves a monitor."""

    pid: int
    peer: socket.socket
    greeting_seconds: float
    memory_seconds: float = 0.0

    def ask(self, message: bytes) -> int:
        """Send, and read one reply; its size."""
        self.peer.sendall(message)
        size = 0
        while True:
            data = self.peer.recv(1 << 20)
            size += len(data)
            if data.endswith(b"\r\n") or not data:
                return size

    def cpu_seconds(self) -> float:
        """User and system time so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / CLOCK

    def resident(self) -> float:
        """Resident memory in MiB."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        return 0.0


@contextmanager
def served(command: list[str], path: str) -> Iterator[Served]:
    """Start *command*, connect as soon as *path* listens, read the greeting; end it in any case."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peer = socket.socket(socket.AF_UNIX)
    try:
        while True:
            try:
                peer.connect(path)
                break
            except OSError:
                if process.poll() is not None:
                    raise SystemExit(f"{command[0]} ended with {process.returncode}: {' '.join(command)}") from None
                time.sleep(0.001)
        peer.recv(1 << 16)
        greeting = time.perf_counter() - start
        one = Served(process.pid, peer, greeting)
        one.ask(b'{"execute":"qmp_capabilities"}')
        one.ask(json.dumps(QUESTIONS["info mtree"]).encode())
        one.memory_seconds = time.perf_counter() - start
        yield one
    finally:
        peer.close()
        process.send_signal(signal.SIGTERM)
        process.wait()


def measure(command: Callable[[str], list[str]], seconds: float, scratch: str) -> dict[str, float]:
    """One round: the numbers of one served process."""
    path = os.path.join(scratch, "q")
    numbers: dict[str, float] = {}
    with served(command(path), path) as one:
        numbers["start to greeting, ms"] = one.greeting_seconds * 1000
        numbers["start to first info mtree, ms"] = one.memory_seconds * 1000
        for name, question in QUESTIONS.items():
            message = json.dumps(question).encode()
            size = one.ask(message)
            count, cpu, start = 0, one.cpu_seconds(), time.perf_counter()
            while (passed := time.perf_counter() - start) < seconds:
                one.ask(message)
                count += 1
            numbers[f"{name}, replies/s"] = count / passed
            numbers[f"{name}, CPU us/reply"] = (one.cpu_seconds() - cpu) / count * 1e6
            numbers[f"{name}, bytes"] = size
        numbers["resident, MiB"] = one.resident()
    return numbers


def bare_python() -> float:
    """Milliseconds for `python3 -c 'import asyncio'`."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import asyncio"], check=True)
    return (time.perf_counter() - start) * 1000


def best(name: str, rounds: list[dict[str, float]]) -> float:
    """The better of the rounds."""
    values = [numbers[name] for numbers in rounds]
    return max(values) if name.endswith("replies/s") else min(values)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--qemu", default="qemu-system-x86_64")
    parser.add_argument("--recording")
    parser.add_argument("--machine", default="q35")
    parser.add_argument("--seconds", type=float, default=1.0, help="how long to ask each question in a round")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        # an installed package has its byte code; a checkout may be told to keep none
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = os.path.join(scratch, "bytecode")
        machine = ["-machine", args.machine, "-nodefaults", "-display", "none", "-S"]
        recording = args.recording
        if recording is None:
            recording = os.path.join(scratch, "machine.qrec.xz")
            record = [
                sys.executable,
                "-m",
                "qshim",
                "record",
                "--qemu",
                args.qemu,
                "-o",
                recording,
                "--",
                *machine[:-1],
            ]
            subprocess.run(record, check=True)

        def ours(path: str) -> list[str]:
            monitor = f"unix:{path},server=on,wait=off"
            return [sys.executable, "-m", "qshim", "serve", "--recording", recording, "--", "-qmp", monitor]

        def real(path: str) -> list[str]:
            return [args.qemu, *machine, "-qmp", f"unix:{path},server=on,wait=off"]

        rounds: tuple[list[dict[str, float]], list[dict[str, float]]] = ([], [])
        python = []
        for _ in range(args.rounds):
            python.append(bare_python())
            rounds[0].append(measure(ours, args.seconds, scratch))
            rounds[1].append(measure(real, args.seconds, scratch))
    print(f"{'':36} {'qshim':>10} {'QEMU':>10} {'ratio':>7}")
    for name in rounds[0][0]:
        a, b = best(name, rounds[0]), best(name, rounds[1])
        print(f"{name:36} {a:10.1f} {b:10.1f} {a / b:7.2f}")
    a = best("start to greeting, ms", rounds[0])
    print(f"{'python3 -c import asyncio, ms':36} {min(python):10.1f} {'':10} {a / min(python):7.2f}  (start / this)")
    print()
    commit.main()


if __name__ == "__main__":
    main()
