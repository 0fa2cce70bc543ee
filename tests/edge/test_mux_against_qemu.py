"""A terminal and a socket that a serial port and monitors share, typed at beside a real QEMU."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.oracle import LABELS, needs

KEYS = (
    b"hello\x01\x01\x01z", b"\x01h", b"\x01c", b"info status\r", b"in\x01c", b"q", b"\x01c", b"x\r",
    b"\x01t\r", b"\x01t\x01b\x01s\x01c\x01c", b"\x01x",
)  # fmt: skip
QUIET = 0.1
SECONDS = 30
OURS = "from qshim.cli.system import x86_64; raise SystemExit(x86_64())"


def masked(data: bytes) -> bytes:
    return re.sub(rb"\[00:00:0\d\.\d{3}\]", b"[TIME]", data)


def heard(fd: int, first: float = QUIET) -> bytes:
    """What comes until it is quiet."""
    data = b""
    while select.select([fd], [], [], QUIET if data else first)[0]:
        try:
            more = os.read(fd, 1 << 16)
        except OSError:
            break
        if not more:
            break
        data += more
    return data


@contextlib.contextmanager
def emulator(command: Sequence[str], words: Sequence[str], terminal: int | None, label: str) -> Iterator[None]:
    env = {**os.environ, "QSHIM_QEMU_VERSION": label}
    place = subprocess.DEVNULL if terminal is None else terminal
    process = subprocess.Popen([*command, *words], stdin=place, stdout=place, stderr=subprocess.DEVNULL, env=env)
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(SECONDS)


def typed_at_a_terminal(command: Sequence[str], words: Sequence[str], label: str) -> list[bytes]:
    ours, theirs = os.openpty()
    try:
        with emulator(command, words, theirs, label):
            # the first step waits for what is said at the start, or for the machine to be ready to answer
            said = [heard(ours, 1.5)]
            for keys in KEYS:
                os.write(ours, keys)
                said.append(masked(heard(ours)))
        return said
    finally:
        os.close(ours)
        os.close(theirs)


def typed_at_a_socket(command: Sequence[str], words: Sequence[str], label: str, path: Path) -> list[bytes]:
    said = []
    with emulator(command, words, None, label):
        for keys in ((b"\x01c", b"inf"), (b"\x01h", b"\x01c", b"\x01c", b"\x01c"), (b"\x01c", b"\x01x")):
            peer = connected(path)
            said.append(heard(peer.fileno(), 1.0))
            for each in keys:
                peer.sendall(each)
                said.append(masked(heard(peer.fileno())))
            peer.close()
            time.sleep(QUIET)
    return said


def connected(path: Path) -> socket.socket:
    deadline = time.monotonic() + SECONDS
    while True:
        peer = socket.socket(socket.AF_UNIX)
        try:
            peer.connect(str(path))
            return peer
        except OSError:
            peer.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize(
    "words",
    [
        ["-M", "q35", "-display", "none", "-serial", "mon:stdio"],
        ["-M", "q35", "-nographic"],
        ["-M", "q35", "-display", "none", "-chardev", "stdio,id=s,mux=on", "-mon", "s", "-mon", "s"],
    ],
    ids=["serial", "nographic", "two monitors"],
)
def test_typed_at_a_terminal(label: str, words: list[str]) -> None:
    commands = [needs(label, "x86_64")], [sys.executable, "-c", OURS]
    with ThreadPoolExecutor() as both:
        real, ours = both.map(lambda command: typed_at_a_terminal(command, [*words, "-S"], label), commands)
    assert release(ours) == release(real)


@pytest.mark.parametrize(("label", "machine"), [("7.2", "q35"), ("11.1", "q35"), ("11.1", "none")])
def test_typed_at_a_socket(label: str, machine: str, tmp_path: Path) -> None:
    commands = [needs(label, "x86_64")], [sys.executable, "-c", OURS]

    def typed(command: list[str], path: Path) -> list[bytes]:
        words = ["-M", machine, "-display", "none", "-S", "-serial", f"mon:unix:{path},server=on,wait=off"]
        return typed_at_a_socket(command, words, label, path)

    with ThreadPoolExecutor() as both:
        real, ours = both.map(typed, commands, (tmp_path / "r", tmp_path / "o"))
    assert release(ours) == release(real)


def release(said: list[bytes]) -> bytes:
    """All of it, whenever it came, without the last number of the version, where a distribution may be ahead."""
    return re.sub(rb"QEMU (\d+\.\d+)\.\d+ monitor", rb"QEMU \1 monitor", b"".join(said))
