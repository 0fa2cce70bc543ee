"""Measure qshim's monitors beside a real QEMU: one client, a hundred at once, and a reply of 10 MB.

    python -m tests.bench.monitors --qemu qemu-system-x86_64 [--recording NAME] [--seconds S]

Both serve the same machine paused with a hundred QMP monitors on unix sockets, and are asked in turn.
`one client`: question and answer after each other on one connection, the others idle. `100 clients`:
each sends, then each reads. `p50`, `p99`: how long one answer takes. Nothing here is a test: no
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

from tests.bench.run import CLOCK

MONITORS = 100
STATUS = b'{"execute":"query-status"}'
LARGE = json.dumps(
    {"execute": "human-monitor-command", "arguments": {"command-line": "xp /2000000xb 0x100000"}}
).encode()  # fmt: skip
"""Two million bytes of guest memory as text: five characters each."""


def answered(peer: socket.socket) -> int:
    """Read one reply; its size."""
    size = 0
    while True:
        data = peer.recv(1 << 20)
        size += len(data)
        if data.endswith(b"\r\n") or not data:
            return size


@contextmanager
def served(command: list[str], paths: list[str]) -> Iterator[tuple[int, list[socket.socket]]]:
    """Start *command*, connect to each of *paths* and negotiate; end it in any case."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peers: list[socket.socket] = []
    try:
        for path in paths:
            peer = socket.socket(socket.AF_UNIX)
            peers.append(peer)
            while True:
                try:
                    peer.connect(path)
                    break
                except OSError:
                    if process.poll() is not None:
                        raise SystemExit(f"{command[0]} ended with {process.returncode}") from None
                    time.sleep(0.001)
            answered(peer)
            peer.sendall(b'{"execute":"qmp_capabilities"}')
            answered(peer)
        yield process.pid, peers
    finally:
        for peer in peers:
            peer.close()
        process.send_signal(signal.SIGTERM)
        process.wait()


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK


def measure(command: Callable[[list[str]], list[str]], seconds: float, scratch: str) -> dict[str, float]:
    """One round: the numbers of one served process."""
    paths = [os.path.join(scratch, f"q{i}") for i in range(MONITORS)]
    numbers: dict[str, float] = {}
    with served(command(paths), paths) as (pid, peers):
        one = peers[0]
        for _ in range(200):
            one.sendall(STATUS)
            answered(one)
        took: list[float] = []
        start = before = time.perf_counter()
        while before - start < seconds:
            one.sendall(STATUS)
            answered(one)
            after = time.perf_counter()
            took.append(after - before)
            before = after
        took.sort()
        numbers["one client, replies/s"] = len(took) / (before - start)
        for name, share in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)):
            numbers[f"one client, {name}, us"] = took[int(len(took) * share)] * 1e6
        count, cpu, start = 0, cpu_seconds(pid), time.perf_counter()
        while (passed := time.perf_counter() - start) < seconds:
            for peer in peers:
                peer.sendall(STATUS)
            for peer in peers:
                answered(peer)
            count += len(peers)
        numbers["100 clients, replies/s"] = count / passed
        numbers["100 clients, CPU us/reply"] = (cpu_seconds(pid) - cpu) / count * 1e6
        one.sendall(LARGE)
        answered(one)
        start, cpu = time.perf_counter(), cpu_seconds(pid)
        one.sendall(LARGE)
        numbers["large reply, MB"] = answered(one) / 1e6
        numbers["large reply, ms"] = (time.perf_counter() - start) * 1000
        numbers["large reply, CPU ms"] = (cpu_seconds(pid) - cpu) * 1000
    return numbers


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--qemu", default="qemu-system-x86_64")
    parser.add_argument("--recording", default="11.1/x86_64/pc-q35-11.1", help="a file or the name of a shipped one")
    parser.add_argument("--machine", default="q35")
    parser.add_argument("--seconds", type=float, default=2.0, help="how long to ask each question in a round")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()

    def monitors(paths: list[str]) -> list[str]:
        return [word for path in paths for word in ("-qmp", f"unix:{path},server=on,wait=off")]

    def ours(paths: list[str]) -> list[str]:
        return [sys.executable, "-m", "qshim", "serve", "--recording", args.recording, "--", *monitors(paths)]

    def real(paths: list[str]) -> list[str]:
        return [args.qemu, "-machine", args.machine, "-nodefaults", "-display", "none", "-S", *monitors(paths)]

    rounds: tuple[list[dict[str, float]], list[dict[str, float]]] = ([], [])
    with tempfile.TemporaryDirectory() as scratch:
        for _ in range(args.rounds):
            rounds[0].append(measure(ours, args.seconds, scratch))
            rounds[1].append(measure(real, args.seconds, scratch))
    print(f"{'':32} {'qshim':>10} {'QEMU':>10} {'ratio':>7}")
    for name in rounds[0][0]:
        better = max if name.endswith("replies/s") else min
        a, b = (better(numbers[name] for numbers in side) for side in rounds)
        print(f"{name:32} {a:10.1f} {b:10.1f} {a / b:7.2f}")


if __name__ == "__main__":
    main()
