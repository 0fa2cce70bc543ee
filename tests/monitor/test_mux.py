"""Several users of one character device: focus, help, timestamps, the end (bytes as QEMU 7.2 and 11.1 print them)."""

from __future__ import annotations

import re

import pytest

from qshim.memory import Topology
from qshim.monitor.hmp.session import HmpSession
from qshim.monitor.mux import Mux, SilentPort
from qshim.vm import Vm

BANNER = b"QEMU 11.1.0 monitor - type 'help' for more information\r\n"
PROMPT = b"(qemu) "
HELP = (
    b"\n\rC-a h    print this help\n\rC-a x    exit emulator\n\rC-a s    save disk data back to file (if -snapshot)\n\r"
    b"C-a t    toggle console timestamps\n\rC-a b    send break (magic sysrq)\n\r"
    b"C-a c    switch between console and monitor\n\rC-a C-a  sends C-a\n\r"
)


class Shared:
    """A switch with a human monitor, then others."""

    def __init__(self, *others: str, escape: int = 1) -> None:
        self.vm = Vm(Topology())
        self.out = bytearray()
        self.mux = Mux(lambda: self.vm.shutdown("host-qmp-quit"), escape=escape)
        self.port = Heard()
        self.mux.attach(HmpSession(self.vm, self.mux.write))
        for other in others:
            self.mux.attach(self.port if other == "port" else HmpSession(self.vm, self.mux.write))

    def connect(self) -> bytes:
        self.mux.serve(self.out.extend)
        self.mux.start()
        return self.said()

    def said(self) -> bytes:
        said = bytes(self.out)
        self.out.clear()
        return said

    def type(self, keys: bytes) -> bytes:
        self.mux.receive(keys)
        return self.said()


class Heard(SilentPort):
    """A port that keeps what it got."""

    def __init__(self) -> None:
        self.data = b""

    def receive(self, data: bytes, fds: object = ()) -> None:
        self.data += data


def test_the_port_has_the_focus_and_the_monitor_keeps_its_banner() -> None:
    shared = Shared("port")
    shared.mux.made()
    assert shared.connect() == b""
    assert shared.type(b"hello") == b""
    assert shared.port.data == b"hello"
    # one for the machine that was made, one for the client that came
    assert shared.type(b"\x01c") == BANNER + BANNER + PROMPT
    assert shared.type(b"\r") == b"\r\n" + PROMPT
    assert shared.type(b"\x01c") == b"\r\n"
    shared.type(b"x")
    assert shared.port.data == b"hellox"


def test_a_client_from_the_start_gets_one_banner() -> None:
    shared = Shared("port")
    assert shared.connect() == b""
    shared.mux.made()
    assert shared.type(b"\x01c") == BANNER + PROMPT


def test_the_focus_stays_for_the_next_client() -> None:
    shared = Shared("port")
    shared.mux.made()
    shared.connect()
    shared.type(b"\x01c")
    shared.mux.stop()
    assert shared.connect() == BANNER + PROMPT


def test_a_half_typed_line_is_forgotten() -> None:
    shared = Shared("port")
    shared.mux.made()
    shared.connect()
    shared.type(b"\x01c")
    assert shared.type(b"inf\x01c").endswith(b"inf\x1b[K\r\n")
    assert shared.type(b"\x01c") == PROMPT
    assert shared.type(b"\r") == b"\r\n" + PROMPT


def test_two_monitors() -> None:
    shared = Shared("monitor")
    shared.mux.made()
    assert shared.connect() == BANNER + PROMPT
    assert shared.type(b"\x01c") == b"\r\n" + BANNER + BANNER + PROMPT
    assert shared.type(b"\x01c") == b"\r\n" + PROMPT


def test_alone_on_its_device() -> None:
    shared = Shared()
    shared.mux.made()
    assert shared.connect() == BANNER + PROMPT
    assert shared.type(b"\x01c") == b"\r\n" + PROMPT


@pytest.mark.parametrize("chunks", [[b"\x01h"], [b"\x01", b"h"], [b"\x01?"]])
def test_help(chunks: list[bytes]) -> None:
    shared = Shared("port")
    shared.connect()
    assert b"".join(shared.type(chunk) for chunk in chunks) == HELP
    assert shared.port.data == b""


def test_the_escape_character_itself_and_keys_without_meaning() -> None:
    shared = Shared("port")
    shared.connect()
    assert shared.type(b"a\x01\x01b\x01zc\x01s\x01bd") == b""
    assert shared.port.data == b"a\x01bcd"


@pytest.mark.parametrize(
    ("escape", "name", "first"),
    [(20, b"C-t", b"\n\rC-t h    print"),
     (64, b"Escape-Char", b"\n\rEscape-Char set to Ascii: 0x40\n\r\n\rEscape-Char h  "),
     (0, b"Escape-Char", b"\n\rEscape-Char set to Ascii: 0x00\n\r\n\rEscape-Char h  ")],
)  # fmt: skip
def test_other_escape_characters(escape: int, name: bytes, first: bytes) -> None:
    shared = Shared("port", escape=escape)
    shared.connect()
    text = shared.type(bytes((escape,)) + b"h")
    assert text.startswith(first)
    assert text.endswith(b"\n\r" + name + b" " + name + b"  sends " + name + b"\n\r")
    assert shared.type(b"\x01h") == b""


def test_no_escape_character() -> None:
    shared = Shared("port", escape=300)
    shared.connect()
    assert shared.type(b"\x01h,h") == b""
    assert shared.port.data == b"\x01h,h"


def test_timestamps() -> None:
    shared = Shared()
    shared.mux.made()
    shared.connect()
    assert shared.type(b"\x01t") == b""
    assert re.fullmatch(rb"\r\n\[00:00:00\.\d{3}\] \(qemu\) ", shared.type(b"\r"))
    assert re.fullmatch(rb"QEMU: Terminated\n\[00:00:0\d\.\d{3}\] \r", shared.type(b"\x01x"))
    assert shared.vm.ended


def test_timestamps_end() -> None:
    shared = Shared()
    shared.mux.made()
    shared.connect()
    shared.type(b"\x01t\r\x01t")
    assert shared.type(b"\r") == b"\r\n" + PROMPT


def test_quitting_is_told_to_everybody() -> None:
    shared = Shared("port")
    told: list[object] = []
    shared.vm.subscribe(lambda event: told.append((event.name, event.data)))
    shared.connect()
    assert shared.type(b"\x01x") == b"QEMU: Terminated\n\r"
    assert told == [("SHUTDOWN", {"guest": False, "reason": "host-qmp-quit"})]


def test_clients_that_come_and_go_cost_bounded_memory() -> None:
    shared = Shared("port")
    shared.mux.made()
    for _ in range(30_000):
        shared.connect()
        shared.mux.stop()
    shared.connect()
    assert len(shared.type(b"\x01c")) <= (1 << 20) + len(PROMPT)
