"""An MQTT 3.1.1 client of a few lines: it shares no code with the libraries that are tested."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, NamedTuple

__all__ = ["Client", "Received"]

_SECONDS = 30.0
_CONNECT, _CONNACK, _PUBLISH, _PUBACK, _SUBSCRIBE, _SUBACK, _DISCONNECT = 1, 2, 3, 4, 8, 9, 14


class Received(NamedTuple):
    """A message that came."""

    topic: str
    payload: bytes
    retain: bool
    at: float
    """time.monotonic()."""

    @property
    def json(self) -> Any:
        """What is in it."""
        return json.loads(self.payload)


class Client:
    """Connected, and subscribed to *topics*; what comes is kept in `received`. A context manager."""

    def __init__(
        self,
        port: int,
        *topics: str,
        user: str | None = None,
        password: str | None = None,
        tls: ssl.SSLContext | None = None,
        session: str | None = None,
    ) -> None:
        """*session*: a name under which the broker keeps what comes while we are away."""
        self.received: list[Received] = []
        self.all: list[Received] = []
        """What came, forgotten or not."""
        self._changed = threading.Condition()
        self._broken = False
        plain = socket.create_connection(("127.0.0.1", port), _SECONDS)
        self._socket = plain if tls is None else tls.wrap_socket(plain, server_hostname="localhost")
        self._stream = self._socket.makefile("rb")
        flags = (2 if session is None else 0) | (0xC0 if user is not None else 0)
        names = [session or f"test-{id(self)}", *([user, password or ""] if user is not None else [])]
        body = b"\0\4MQTT\4" + bytes([flags]) + (0).to_bytes(2, "big") + b"".join(_text(name) for name in names)
        self._send(_CONNECT << 4, body)
        kind, reply = self._packet()
        assert kind >> 4 == _CONNACK, kind
        self.refused = reply[1]
        """0, or why the broker does not let us in."""
        if self.refused:
            self.close()
            return
        if topics:
            self._send(_SUBSCRIBE << 4 | 2, b"\0\1" + b"".join(_text(topic) + b"\1" for topic in topics))
        self._socket.settimeout(None)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """With QoS 0."""
        self._send(_PUBLISH << 4 | int(retain), _text(topic) + payload)

    def wait(self, wanted: Callable[[list[Received]], Any], seconds: float = _SECONDS) -> Any:
        """What *wanted* says of all that was received, as soon as it is true."""
        until = time.monotonic() + seconds
        with self._changed:
            while not (result := wanted(self.received)):
                left = until - time.monotonic()
                topics = [(r.topic, r.payload[:100]) for r in self.received[-20:]]
                assert left > 0, f"it did not come; of {len(self.received)} messages the last are {topics}"
                assert not self._broken, "the broker went away"
                self._changed.wait(left)
            return result

    def next(self, topic: str, seconds: float = _SECONDS, **members: Any) -> Received:
        """The first message on *topic* with these *members*; it and what came before are forgotten."""

        def found(received: list[Received]) -> int:
            for number, message in enumerate(received, 1):
                if message.topic == topic and (not members or _has(message, members)):
                    return number
            return 0

        number = self.wait(found, seconds)
        with self._changed:
            message: Received = self.received[number - 1]
            del self.received[:number]
            return message

    def seen(self, topic: str, seconds: float = _SECONDS, **members: Any) -> Received:
        """The last message on *topic* with these *members*, as soon as there is one; nothing is forgotten."""

        def found(_: list[Received]) -> list[Received]:
            return [m for m in self.all if m.topic == topic and (not members or _has(m, members))]

        message: Received = self.wait(found, seconds)[-1]
        return message

    def close(self) -> None:
        """Hang up."""
        if not self.refused:
            self._send(_DISCONNECT << 4, b"")
            with_reader = self._reader
            self._socket.shutdown(socket.SHUT_RDWR) if not self._broken else None
            with_reader.join(_SECONDS)
        self._stream.close()
        self._socket.close()

    def _read(self) -> None:
        try:
            while True:
                kind, body = self._packet()
                if kind >> 4 != _PUBLISH:
                    continue
                length = int.from_bytes(body[:2], "big")
                start = 2 + length
                if kind & 6:
                    self._send(_PUBACK << 4, body[start : start + 2])
                    start += 2
                message = Received(body[2 : 2 + length].decode(), body[start:], bool(kind & 1), time.monotonic())
                with self._changed:
                    self.received.append(message)
                    self.all.append(message)
                    self._changed.notify_all()
        except (OSError, EOFError, ValueError):
            with self._changed:
                self._broken = True
                self._changed.notify_all()

    def _packet(self) -> tuple[int, bytes]:
        kind = self._bytes(1)[0]
        length = shift = 0
        while True:
            digit = self._bytes(1)[0]
            length |= (digit & 127) << shift
            shift += 7
            if digit < 128:
                return kind, self._bytes(length)

    def _bytes(self, count: int) -> bytes:
        data = self._stream.read(count)
        if len(data) < count:
            raise EOFError
        return data

    def _send(self, kind: int, body: bytes) -> None:
        length, digits = len(body), bytearray()
        while True:
            length, digit = divmod(length, 128)
            digits.append(digit | (128 if length else 0))
            if not length:
                break
        try:
            self._socket.sendall(bytes([kind]) + bytes(digits) + body)
        except OSError:
            self._broken = True

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _has(message: Received, members: dict[str, Any]) -> bool:
    try:
        document = message.json
    except ValueError:
        return False
    return isinstance(document, dict) and all(document.get(name) == value for name, value in members.items())


def _text(text: str) -> bytes:
    data = text.encode()
    return len(data).to_bytes(2, "big") + data
