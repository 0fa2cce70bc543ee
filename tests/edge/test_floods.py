"""Clients that send without end, or tokens without end, cost bounded memory and disturb nobody else."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

SECONDS = 60
MOST_MIB = 320
"""Resident memory of the server, with one message of 64 MiB held twice."""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[int, list[str]]]:
    """A server's pid and the paths of its two monitors."""
    paths = [str(tmp_path / name) for name in ("bad", "good")]
    monitors = [word for path in paths for word in ("-qmp", f"unix:{path},server=on,wait=off")]
    command = [sys.executable, "-m", "qshim", "serve", "--recording", "11.1/x86_64/none", "--", *monitors]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process.pid, paths
    finally:
        process.kill()
        process.wait()


def connected(path: str) -> socket.socket:
    deadline = time.monotonic() + SECONDS
    while True:
        peer = socket.socket(socket.AF_UNIX)
        peer.settimeout(SECONDS)
        try:
            peer.connect(path)
            peer.recv(1 << 16)
            peer.sendall(b'{"execute":"qmp_capabilities"}')
            assert peer.recv(1 << 16) == b'{"return": {}}\r\n'
            return peer
        except OSError:
            peer.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def asks(peer: socket.socket) -> None:
    peer.sendall(b'{"execute":"query-status"}')
    assert b'"status"' in peer.recv(1 << 16)


def peak_mib(pid: int) -> int:
    """The most that was ever resident."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) >> 10
    raise AssertionError("no VmHWM")


def test_a_token_of_64_mib(served: tuple[int, list[str]]) -> None:
    pid, paths = served
    bad, good = map(connected, paths)
    sending = threading.Thread(target=lambda: bad.sendall(b'{"execute":"' + b"x" * (65 << 20)))
    sending.start()
    while sending.is_alive():
        asks(good)
    # QEMU lexes on behind the limit, so more than one error may come
    assert b'"desc": "JSON token size limit exceeded"}}' in bad.recv(1 << 16)
    asks(good)
    assert peak_mib(pid) < MOST_MIB
    bad.close()
    good.close()


def test_a_flood_whose_replies_nobody_reads(served: tuple[int, list[str]]) -> None:
    pid, paths = served
    bad, good = map(connected, paths)
    bad.setblocking(False)
    flood = b'{"execute":"query-qmp-schema"}' * 2000
    sent = 0
    for _ in range(200):
        try:
            sent += bad.send(flood)
        except BlockingIOError:
            time.sleep(0.001)
        asks(good)
    assert sent > 0
    assert peak_mib(pid) < MOST_MIB
    # in the middle of a message, and with all those replies unread
    bad.close()
    asks(good)
    again = connected(paths[0])
    asks(again)
    again.close()
    good.close()


def test_many_clients_that_come_and_go(served: tuple[int, list[str]]) -> None:
    pid, paths = served
    good = connected(paths[1])
    connected(paths[0]).close()
    before = len(os.listdir(f"/proc/{pid}/fd"))
    for _ in range(200):
        peer = socket.socket(socket.AF_UNIX)
        # without a timeout it waits for a place in the queue of one
        peer.connect(paths[0])
        peer.send(b'{"execute": "qmp_capab')
        peer.close()
    asks(good)
    connected(paths[0]).close()
    asks(good)
    assert len(os.listdir(f"/proc/{pid}/fd")) <= before + 1
    good.close()
