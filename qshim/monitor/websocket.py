"""WebSocket as QEMU's character devices speak it: the server's side of RFC 6455, with QEMU's answers to what is wrong.

Pure protocol: bytes in, what they mean out. Only binary frames carry data; a request that is refused and a frame
that is no good end the connection, with the reason in words that 7.2, 10.0 and 11.1 share.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Callable, Mapping
from typing import NamedTuple

__all__ = ["Step", "WebSocket"]

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_MOST_HEADER, _MOST_FIELDS, _KEY_SIZE = 4096, 32, 24
_CONTINUATION, _BINARY, _CLOSE, _PING, _PONG = 0, 2, 8, 9, 10
_CONTROL = 8
_MOST_CONTROL = 125
_NORMAL, _PROTOCOL, _UNSUPPORTED, _POLICY = 1000, 1002, 1003, 1008
_HEAD = "Server: QEMU VNC\r\nDate: {}\r\n"
_BAD = f"HTTP/1.1 400 Bad Request\r\n{_HEAD}Connection: close\r\nSec-WebSocket-Version: 13\r\n"
_LOST = f"HTTP/1.1 404 Not Found\r\n{_HEAD}Connection: close\r\n\r\n"
_LARGE = f"HTTP/1.1 403 Request Entity Too Large\r\n{_HEAD}Connection: close\r\n\r\n"
_WELCOME = f"HTTP/1.1 101 Switching Protocols\r\n{_HEAD}Upgrade: websocket\r\nConnection: Upgrade\r\n"


class Step(NamedTuple):
    """What input led to."""

    data: bytes = b""
    """For whoever reads the connection."""
    reply: bytes = b""
    """For the peer, at once."""
    ended: bool = False
    """The connection is to be closed once *reply* is written."""


class _Refused(Exception):
    def __init__(self, reply: str) -> None:
        super().__init__(reply)
        self.reply = reply


class _Wrong(Exception):
    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.frame = _frame(_CLOSE, struct.pack(">H", code) + text.encode())


class WebSocket:
    """One connection, from the peer's request on."""

    def __init__(self, date: Callable[[], str]) -> None:
        """*date*: now, as HTTP writes it."""
        self._date = date
        self._buffer = bytearray()
        self._fragmented = False
        self._opcode, self._mask, self._left = _BINARY, b"\0\0\0\0", 0
        self.opened = False
        """The handshake is done: data may come and go."""

    def hello(self) -> bytes:
        """Nothing: the client begins."""
        return b""

    def receive(self, data: bytes) -> Step:
        """Take input in any chunking."""
        self._buffer += data
        if not self.opened:
            try:
                reply = self._handshake()
            except _Refused as refusal:
                return Step(reply=refusal.reply.format(self._date()).encode(), ended=True)
            if reply is None:
                return Step()
            self.opened = True
            rest = self._frames()
            return rest._replace(reply=reply + rest.reply)
        return self._frames()

    def wrap(self, data: bytes) -> bytes:
        """*data* as a frame."""
        return _frame(_BINARY, data)

    def _handshake(self) -> bytes | None:
        """The answer to the request; None while it is not complete."""
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) >= _MOST_HEADER:
                raise _Refused(_LARGE)
            return None
        request = bytes(self._buffer[:end]).decode("latin-1")
        del self._buffer[: end + 4]
        line, _, rest = request.partition("\r\n")
        words = line.split(" ")
        if len(words) != 3 or words[0] != "GET" or words[2] != "HTTP/1.1":
            raise _Refused(_BAD)
        if words[1] != "/":
            raise _Refused(_LOST)
        return self._accepted(_fields(rest))

    def _accepted(self, fields: Mapping[str, str]) -> bytes:
        protocols = fields.get("sec-websocket-protocol")
        if (
            "host" not in fields
            or len(fields.get("sec-websocket-key", "")) != _KEY_SIZE
            or fields.get("sec-websocket-version") != "13"
            or fields.get("upgrade", "").lower() != "websocket"
            or "upgrade" not in fields.get("connection", "").lower()
        ):
            raise _Refused(_BAD)
        if protocols is not None and "binary" not in protocols:
            raise _Refused(_BAD)
        accept = base64.b64encode(hashlib.sha1(fields["sec-websocket-key"].encode("latin-1") + _GUID).digest()).decode()
        text = _WELCOME.format(self._date()) + f"Sec-WebSocket-Accept: {accept}\r\n"
        if protocols is not None:
            text += "Sec-WebSocket-Protocol: binary\r\n"
        return f"{text}\r\n".encode()

    def _frames(self) -> Step:
        data, reply = bytearray(), bytearray()
        try:
            while (frame := self._next()) is not None:
                opcode, payload = frame
                if opcode == _CLOSE:
                    reply += _frame(_CLOSE, struct.pack(">H", _NORMAL) + b"peer requested close")
                    return Step(bytes(data), bytes(reply), True)
                if opcode == _PING:
                    reply += _frame(_PONG, payload)
                elif opcode != _PONG:
                    data += payload
        except _Wrong as error:
            return Step(bytes(data), bytes(reply) + error.frame, True)
        return Step(bytes(data), bytes(reply))

    def _next(self) -> tuple[int, bytes] | None:
        """Opcode and payload of the next frame, as far as data of it is there; None: more is needed.

        A continuation is binary, too, and control frames come whole.
        """
        if not self._left and not self._head():
            return None
        if self._opcode >= _CONTROL and len(self._buffer) < self._left:
            return None
        body = bytes(self._buffer[: self._left])
        if not body and self._left:
            return None
        del self._buffer[: len(body)]
        self._left -= len(body)
        plain = _masked(body, self._mask)
        # what comes of the frame later goes on in the mask where this ends
        turn = len(body) % 4
        self._mask = self._mask[turn:] + self._mask[:turn]
        return self._opcode, plain

    def _head(self) -> bool:
        """Read the head of a frame; False while it is not all there."""
        buffer = self._buffer
        if len(buffer) < 2:
            return False
        final, opcode, masked, size = buffer[0] & 0x80, buffer[0] & 0x0F, buffer[1] & 0x80, buffer[1] & 0x7F
        if opcode == _CONTINUATION and self._fragmented:
            opcode = _BINARY
        elif not final and opcode != _BINARY:
            raise _Wrong(_POLICY, "only binary frames may be fragmented")
        elif opcode not in (_BINARY, _CLOSE, _PING, _PONG):
            raise _Wrong(_UNSUPPORTED, "only binary, close, ping, and pong frames are supported")
        if not masked:
            raise _Wrong(_PROTOCOL, "client frames must be masked")
        if opcode >= _CONTROL and size > _MOST_CONTROL:
            raise _Wrong(_PROTOCOL, "control frame is too large")
        at = {126: 4, 127: 10}.get(size, 2)
        if len(buffer) < at + 4:
            return False
        self._opcode, self._mask = opcode, bytes(buffer[at : at + 4])
        self._left = size if size <= _MOST_CONTROL else int.from_bytes(buffer[2:at], "big")
        del buffer[: at + 4]
        if opcode == _BINARY:
            self._fragmented = not final
        return True


def _masked(data: bytes, mask: bytes) -> bytes:
    size = len(data)
    words = size // 4 + 1
    number = int.from_bytes(data.ljust(words * 4, b"\0"), "big") ^ int.from_bytes(mask * words, "big")
    return number.to_bytes(words * 4, "big")[:size]


def _fields(text: str) -> dict[str, str]:
    """The header fields, names in lower case.

    :raises _Refused: a line is none, or there are too many.
    """
    lines = text.split("\r\n") if text else []
    fields = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise _Refused(_BAD)
        fields[name.strip().lower()] = value.strip()
    if len(lines) >= _MOST_FIELDS:
        raise _Refused(_BAD)
    return fields


def _frame(opcode: int, data: bytes) -> bytes:
    size = len(data)
    if size <= _MOST_CONTROL:
        head = bytes((0x80 | opcode, size))
    elif size < 1 << 16:
        head = struct.pack(">BBH", 0x80 | opcode, 126, size)
    else:
        head = struct.pack(">BBQ", 0x80 | opcode, 127, size)
    return head + data
