"""The human monitor's line editor: the same keys to a real QEMU and to a session of ours give the same bytes."""

from __future__ import annotations

import random
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from qshim import versions
from qshim.memory import Topology
from qshim.monitor.hmp.session import HmpSession
from qshim.monitor.hmp.table import Monitor
from qshim.monitor.hmp.telnet import OFFER, TelnetFilter
from qshim.vm import Version, Vm
from tests.support.oracle import needs

VERSIONS = {"7.2": Version(7, 2, 22), "10.0": Version(10, 0, 13), "11.1": Version(11, 1, 3)}
UP, DOWN, RIGHT, LEFT = b"\x1b[A", b"\x1b[B", b"\x1b[C", b"\x1b[D"
KEYS = [
    *(bytes((c,)) for c in b"p 1+2()'x\"/$"), b"p 5", b"info status", b"info st", b"help quit", b"nosuch", b"stop ",
    b"\t", b"info \t", b"he\t", b"help s\t", b"help info v\t", b"sys\t", b"\n", b"\n", b"\r", b"\r\n", UP, UP, DOWN,
    LEFT, LEFT, RIGHT, b"\x1b[E", b"\x1b[F", b"\x1b[1~", b"\x1b[3~", b"\x1b[4~", b"\x1bOH", b"\x1bOF", b"\x1b[12~",
    b"\x1bx", b"\x1b[Z", b"\x9b", b"\x9bD", b"\x01", b"\x05", b"\x04", b"\x08", b"\x7f", b"\x17", b"\x0c", b"\x0e",
    b"\x10", b"\x15", b"\x00", b"\x02", b"\x1f", b"\xc3\xa9", b"\xff", b"p 0x1f-\xe9\n", b"p 7/0\n", b"x 0\n",
    b"info history\n", b"p/o 9\n", b"p 0b11\n", b"info sk\t", b"  p  1 \n", b"block_resize a .5b\n",
    b"help block_resize\n", b"object_add memory-backend-r\t",
]  # fmt: skip
SCRIPTS = [
    b"p 1\n" * 3 + UP + UP + b"\n" + DOWN + b"info history\n",
    b"info st\tus\ninfo \t\t\n",
    b"\t", b"\t\t", b"qo\t", b"h\t\n", b"help h\t\n", b"info m\t", b"i\t",
    b"abc def  \x17x\x17\x17\x17\n",
    b"abcdef" + LEFT * 3 + b"X\x04\x08\x01Y\x05Z\n",
    b"abc" + LEFT + b"\x0cd\n", b"\x0c\x0c", b"ab\x15cd" + LEFT + b"\x15\n",
    b"".join(b"p %d\n" % n for n in range(70)) + b"info history\n" + UP * 70 + b"\n",
    b"p 1\np 2\np 3\n" + UP + UP + UP + UP + UP + b"\n" + b"info history\n" + UP + UP + b"9\ninfo history\n",
    b"p 1\np 2\np 1\ninfo history\np 2\ninfo history\n",
    b"p 1\n" + b"9" * 5000 + b"\n",
    b"help\ninfo\n?\nhelp log\nhelp info\n",
    b'"q\t', b"info status x\t", b"he b\x1b[D\x1b[D\t", b"sto" + LEFT + b"\t",
]  # fmt: skip


def ours(dialect: str, keys: bytes, step: int = 0) -> bytes:
    """What a session of ours sends back, from the banner to the end."""
    vm = Vm(Topology(), quirks=versions.KNOWN[dialect], version=VERSIONS[dialect])
    sent: list[bytes] = []
    session = HmpSession(vm, sent.append)
    session.start()
    for at in range(0, len(keys), step or len(keys) or 1):
        session.receive(keys[at : at + (step or len(keys))])
    return b"".join(sent)


@contextmanager
def real(binary: str) -> Iterator[Path]:
    """A QEMU with a human monitor at a socket; yields its path."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "hmp"
        command = [binary, "-machine", "none", "-nodefaults", "-display", "none", "-S"]
        command += ["-monitor", f"unix:{path},server=on,wait=off"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while not path.exists():
                assert process.poll() is None
                time.sleep(0.01)
            yield path
        finally:
            process.kill()
            process.wait()


def typed(path: Path, keys: bytes, number: int) -> bytes:
    """What the QEMU at *path* sends to somebody who connects, types *keys* and waits for the last answer."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(str(path))
        client.sendall(keys)
        client.sendall(mark(number))
        data = b""
        last = b"p/d %d\x1b[K\r\n%d\r\n(qemu) " % (number, number)
        while not data.endswith(last):
            piece = client.recv(1 << 16)
            assert piece, f"QEMU closed after {data[-200:]!r}"
            data += piece
    return data


def mark(number: int) -> bytes:
    """Ends whatever the keys left on the line, and asks for an answer that nothing else gives.

    Another number each time: keys may fetch an earlier one back from the history.
    """
    return b"\x1bz\x1bz\x05\np 987654321\np/d %d\n" % number


@pytest.mark.parametrize("dialect", versions.KNOWN)
def test_keys_as_real_qemu(dialect: str) -> None:
    binary = needs(dialect, "x86_64")
    rng = random.Random(1)
    vm = Vm(Topology(), quirks=versions.KNOWN[dialect], version=VERSIONS[dialect])
    monitor = Monitor()
    soups = [b"".join(rng.choices(KEYS, k=rng.randrange(1, 30))) for _ in range(60)]
    with real(binary) as path:
        for number, keys in enumerate([*SCRIPTS, *soups], 1000000):
            # one QEMU, one monitor: history goes on from connection to connection on both sides
            expected = typed(path, b"p/d 0\n" + keys, number)
            for step in (0, 1):
                sent: list[bytes] = []
                begun = Monitor(history=list(monitor.history))
                session = HmpSession(vm, sent.append, monitor=begun)
                session.start()
                data = b"p/d 0\n" + keys + mark(number)
                for at in range(0, len(data), step or len(data)):
                    session.receive(data[at : at + (step or len(data))])
                assert b"".join(sent) == expected, keys
            monitor = begun


def test_quit_prints_no_prompt() -> None:
    assert ours("10.0", b"quit\np 1\n").endswith(b"quit\x1b[K\r\n")


def test_a_half_typed_line_is_forgotten_and_history_stays() -> None:
    vm = Vm(Topology())
    monitor = Monitor()
    sent: list[bytes] = []
    first = HmpSession(vm, sent.append, monitor=monitor)
    first.start()
    first.receive(b"p 1\np 2")
    first.stop()
    sent.clear()
    second = HmpSession(vm, sent.append, monitor=monitor)
    second.start()
    second.receive(b"\n" + UP)
    assert b"".join(sent).endswith(b"(qemu) \r\n(qemu) p 1\x1b[K")


def test_a_peer_that_does_not_read_costs_one_chunk_of_output() -> None:
    sent: list[bytes] = []

    def send(data: bytes) -> None:
        sent.append(data)
        session.pause()

    session = HmpSession(Vm(Topology()), send)
    session.start()
    session.resume()
    session.receive(b"p 1 + 1\n" * 2000 + b"9" * 4000)
    assert len(sent) == 2
    assert session.busy
    while session.busy:
        assert len(sent[-1]) < 64 << 10
        session.resume()
    whole = b"".join(sent)
    assert whole.count(b"\x1b[K\r\n0x2\r\n(qemu) ") == 2000
    assert whole.endswith(b"9" * 4000 + b"\x1b[K")


@pytest.mark.parametrize(
    ("sent", "left"),
    [
        (b"p 1\r\n", b"p 1\r\n"), (b"a\xff\xffb", b"a\xffb"), (b"a\xff\xfd\x01b", b"ab"), (b"\xff\xf1xb", b"b"),
        (b"a\xff\xf3b", b"ab"), (b"\xff\xfb\xffab", b"ab"), (b"\xff\xf1\xffab", b"ab"),
    ],
)  # fmt: skip
def test_telnet_commands_are_taken_out(sent: bytes, left: bytes) -> None:
    assert TelnetFilter().feed(sent) == left
    split = TelnetFilter()
    assert b"".join(split.feed(bytes((byte,))) for byte in sent) == left


def test_telnet_offers_before_the_banner() -> None:
    sent: list[bytes] = []
    session = HmpSession(Vm(Topology()), sent.append, telnet=True)
    session.start()
    assert sent[0].startswith(OFFER + b"QEMU 11.1.0 monitor - type 'help' for more information\r\n(qemu) ")
    session.receive(b"\xff\xfd\x03p 1\n")
    assert sent[1].endswith(b"p 1\x1b[K\r\n0x1\r\n(qemu) ")


def test_without_readline_a_chunk_is_a_line() -> None:
    sent: list[bytes] = []
    session = HmpSession(Vm(Topology()), sent.append, readline=False)
    session.start()
    session.receive(b"p 1\0")
    session.receive(b"p 1\n")
    assert sent == [b"QEMU 11.1.0 monitor - type 'help' for more information\r\n", b"0x1\r\n", b"corrupted command\r\n"]
