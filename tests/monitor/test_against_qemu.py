"""The same bytes to a real QEMU and to a session of ours must give the same bytes back."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from qshim import versions
from tests.support.oracle import needs

PIECES = [
    b"{", b"}", b"[", b"]", b":", b",", b'"', b"'", b"\\", b"\\u", b"\\ud83d", b"\\ude00", b"0", b"1", b"-", b".",
    b"e", b"+", b"true", b"null", b"nul", b" ", b"\n", b"\t", b"\r", b"\0", b"\x1f", b"\x7f", b"\xff", b"\xfe", b"%",
    b"@", b"\xc3\xa9", b"\xc0\x80", b"\xed\xa0\x80", b"\xef\xbf\xbf", b"\xf8\x88\x80\x80\x80", b'"a"', b"'b'", b'"a":1',
    b"12.5e3", b'{"execute":"x"}', b"18446744073709551616", b"[[", b'{"a":', b'"\\n"', b'"\\q"', b"0.0", b"-0",
    b'{"execute":"query-name"}', b'{"execute":"query-status","id":', b"info mtree -", b" -f", b"info  nosuch ", b"/",
    b'"}}', b'{"exec-oob":"query-name"}',
    b'{"id":[1,{"b":2,"a":-1.5e-3}],"execute":"query-status"}', b'{"execute":"qmp_capabilities"}',
    b'{"execute":"query-status","arguments":{"x":1,"y":2}}', b'{"execute":"human-monitor-command","arguments":1}',
    b'{"execute":"human-monitor-command","arguments":{"command-line":"',
    b'{"execute":"human-monitor-command","arguments":{"command-line":"info mtree -f -f"}}',
    b'{"execute":"human-monitor-command","arguments":{"command-line":"  info name x"}}',
    b'{"execute":"human-monitor-command","arguments":{"cpu-index":0,"command-line":"info status"}}',
    b'{"execute":"human-monitor-command","arguments":{"command-line":1,"zz":1}}',
]  # fmt: skip
COUNT = int(os.environ.get("QSHIM_FUZZ", "300"))
"""Inputs for each version and opening."""
SEED = os.environ.get("QSHIM_SEED", "")


class Real:
    """A QEMU on its stdin and stdout."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.stdin, self.stdout = process.stdin, process.stdout
        self.stdout.readline()

    def say(self, data: bytes, until: bytes) -> list[str]:
        """The lines that answer *data*, up to the one with *until* in it."""
        self.stdin.write(data)
        self.stdin.flush()
        lines: list[str] = []
        while True:
            line = self.stdout.readline()
            assert line, f"QEMU ended after {lines}"
            lines.append(line.decode().removesuffix("\r\n"))
            if until in line:
                return lines


@contextmanager
def real(binary: str) -> Iterator[Real]:
    command = [binary, "-machine", "none", "-nodefaults", "-display", "none", "-S", "-qmp", "stdio"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        yield Real(process)
    finally:
        process.kill()
        process.communicate()


# not with out-of-band enabled: order then depends on QEMU's threads, and a flood of requests ends all three versions
OPENINGS = {
    "new": b"",
    "negotiated": b'{"execute":"qmp_capabilities"}',
}


@pytest.mark.parametrize("mode", OPENINGS)
@pytest.mark.parametrize("dialect", versions.KNOWN)
def test_random_input(converse: Callable[..., Any], vm_of: Callable[..., Any], dialect: str, mode: str) -> None:
    binary = needs(dialect, "x86_64")
    rng = random.Random(f"{dialect} {mode}{SEED}")
    opening = OPENINGS[mode]
    vm = vm_of(dialect, cpus=0)
    talk = converse(vm=vm)
    with real(binary) as qemu:
        for i in range(COUNT):
            soup = opening + b"".join(rng.choices(PIECES, k=rng.randrange(1, 12)))
            opening = b""
            # out of whatever was begun, and a question whose answer ends the replies
            mark = b"mark-%d" % i
            data = soup + b'\xff\xff{"execute":"no-such-command","id":"' + mark + b'"}'
            expected = qemu.say(data, mark)
            assert talk.say(data, rng.choice([0, 1, 5])) == expected, soup
