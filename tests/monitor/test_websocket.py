"""WebSocket without a socket: the handshake, frames in any chunking, and what QEMU says of those that are wrong."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qshim.monitor.websocket import Step, WebSocket

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
FIELDS = {
    "Host": "localhost", "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13", "Sec-WebSocket-Protocol": "binary",
}  # fmt: skip
WELCOME = (
    b"HTTP/1.1 101 Switching Protocols\r\nServer: QEMU VNC\r\nDate: now\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
    b"Sec-WebSocket-Protocol: binary\r\n\r\n"
)
BAD = (
    b"HTTP/1.1 400 Bad Request\r\nServer: QEMU VNC\r\nDate: now\r\nConnection: close\r\nSec-WebSocket-Version: 13\r\n"
)


def request(line: str = "GET / HTTP/1.1", without: str = "", **fields: str) -> bytes:
    named = {**FIELDS, **{name.replace("_", "-"): value for name, value in fields.items()}}
    lines = [line, *(f"{key}: {value}" for key, value in named.items() if key != without), "", ""]
    return "\r\n".join(lines).encode()


def frame(data: bytes, opcode: int = 2, *, final: bool = True, mask: bytes | None = b"abcd") -> bytes:
    size = len(data)
    head = bytes([(0x80 if final else 0) | opcode])
    flag = 0 if mask is None else 0x80
    if size < 126:
        head += bytes([flag | size])
    elif size < 1 << 16:
        head += struct.pack(">BH", flag | 126, size)
    else:
        head += struct.pack(">BQ", flag | 127, size)
    if mask is None:
        return head + data
    return head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))


def opened() -> WebSocket:
    made = WebSocket(lambda: "now")
    assert made.receive(request()) == Step(reply=WELCOME)
    assert made.opened
    return made


def test_the_handshake_in_pieces() -> None:
    made = WebSocket(lambda: "now")
    steps = [made.receive(bytes([byte])) for byte in request()]
    assert steps[:-1] == [Step()] * (len(steps) - 1)
    assert steps[-1] == Step(reply=WELCOME)


# what 7.2 and 11.1 answered to the same requests
@pytest.mark.parametrize(
    ("asked", "reply"),
    [
        (request("POST / HTTP/1.1"), BAD),
        (request("GET / HTTP/1.0"), BAD),
        (request("GET /foo HTTP/1.1"), BAD.replace(b"400 Bad Request", b"404 Not Found").replace(
            b"Sec-WebSocket-Version: 13\r\n", b"\r\n")),
        *((request(without=name), BAD) for name in FIELDS if name != "Sec-WebSocket-Protocol"),
        (request(Sec_WebSocket_Version="12"), BAD),
        (request(Sec_WebSocket_Key="abc"), BAD),
        (request(Sec_WebSocket_Protocol="chat"), BAD),
        (request(Upgrade="h2c"), BAD),
        (request(Connection="close"), BAD),
        (b"hello\r\n\r\n", BAD),
        (b"GET / HTTP/1.1\r\nfoo\r\n\r\n", BAD),
        (b"\r\n\r\n", BAD),
        (request(**{f"X{number}": "y" for number in range(40)}), BAD),
        (b"X" * 5000, BAD.replace(b"400 Bad Request", b"403 Request Entity Too Large").replace(
            b"Sec-WebSocket-Version: 13\r\n", b"\r\n")),
    ],
)  # fmt: skip
def test_requests_that_are_refused(asked: bytes, reply: bytes) -> None:
    assert WebSocket(lambda: "now").receive(asked) == Step(reply=reply, ended=True)


def test_words_in_other_spellings_are_taken() -> None:
    made = WebSocket(lambda: "now")
    assert made.receive(request(Upgrade="WebSocket", Connection="keep-alive, upgrade")).reply == WELCOME
    bare = WebSocket(lambda: "now").receive(request(without="Sec-WebSocket-Protocol")).reply
    assert bare == WELCOME.replace(b"Sec-WebSocket-Protocol: binary\r\n", b"")


@pytest.mark.parametrize(
    ("sent", "code", "text"),
    [
        (frame(b"x", 1), 1003, b"only binary, close, ping, and pong frames are supported"),
        (frame(b"x", 0), 1003, b"only binary, close, ping, and pong frames are supported"),
        (frame(b"x", mask=None), 1002, b"client frames must be masked"),
        (frame(b"x" * 126, 9), 1002, b"control frame is too large"),
        (frame(b"x", 9, final=False), 1008, b"only binary frames may be fragmented"),
        (frame(b"\3\xe9bye", 8), 1000, b"peer requested close"),
        (frame(b"", 8), 1000, b"peer requested close"),
    ],
)
def test_frames_that_end_it(sent: bytes, code: int, text: bytes) -> None:
    body = struct.pack(">H", code) + text
    assert opened().receive(sent) == Step(reply=bytes([0x88, len(body)]) + body, ended=True)


def test_control_frames_between_fragments() -> None:
    made = opened()
    step = made.receive(frame(b"ab", final=False) + frame(b"hi", 9) + frame(b"x", 10) + frame(b"cd", 0))
    assert step == Step(b"abcd", b"\x8a\x02hi")


def test_large_frames_come_as_they_arrive() -> None:
    made = opened()
    whole = frame(b"z" * 70000)
    assert made.receive(whole[:1014]).data == b"z" * 1000
    assert made.receive(whole[1014:]).data == b"z" * 69000
    assert made.wrap(b"y" * 70000) == b"\x82\x7f" + struct.pack(">Q", 70000) + b"y" * 70000


@given(st.lists(st.binary(max_size=300), max_size=6), st.integers(1, 50))
def test_any_chunking_gives_the_same(parts: list[bytes], size: int) -> None:
    made = opened()
    wire = b"".join(frame(part, mask=bytes([n, 7, 255, 1])) for n, part in enumerate(parts))
    data = b"".join(made.receive(wire[at : at + size]).data for at in range(0, len(wire), size))
    assert data == b"".join(parts)
