"""What may lie between a socket and its monitor: WebSocket, TLS. Each is a protocol without a socket of its own."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from email.utils import formatdate
from typing import Protocol

from qshim.edge.stream import Receiver, Stream
from qshim.monitor.websocket import Step, WebSocket

__all__ = ["Layer", "LayeredStream", "Opening", "Stack", "websocket"]

_READ_SIZE = 64 << 10


class Layer(Protocol):
    """A protocol: input becomes data and replies, data becomes output."""

    opened: bool

    def hello(self) -> bytes:
        """What we say before anything has come."""

    def receive(self, data: bytes) -> Step:
        """Take input."""

    def wrap(self, data: bytes) -> bytes:
        """*data* for the wire."""


def websocket() -> Layer:
    """A WebSocket server's side."""
    return WebSocket(lambda: formatdate(usegmt=True))


class Stack:
    """Several layers, the one next to the wire first."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        self._layers = tuple(layers)

    @property
    def opened(self) -> bool:
        """All of them have shaken hands."""
        return all(layer.opened for layer in self._layers)

    def hello(self) -> bytes:
        """What the layer next to the wire says before anything has come."""
        return self._layers[0].hello()

    def receive(self, data: bytes) -> Step:
        """Take input through all layers."""
        reply, ended = b"", False
        for number, layer in enumerate(self._layers):
            step = layer.receive(data)
            below = step.reply
            for lower in reversed(self._layers[:number]):
                below = lower.wrap(below) if below else below
            reply += below
            ended = ended or step.ended
            data = step.data
            if not layer.opened:
                break
        return Step(data, reply, ended)

    def wrap(self, data: bytes) -> bytes:
        """*data* for the wire."""
        for layer in reversed(self._layers):
            data = layer.wrap(data)
        return data


class Opening:
    """A socket whose layers shake hands; *done* is told how that ended."""

    def __init__(self, sock: socket.socket, stack: Stack, done: Callable[[bool, Step], None]) -> None:
        self._socket = sock
        self._stack = stack
        self._done = done
        sock.setblocking(False)
        asyncio.get_running_loop().add_reader(sock, self._readable)
        hello = stack.hello()
        if hello:
            with suppress(OSError):
                # whoever has gone already is found by reading
                sock.send(hello)

    def _readable(self) -> None:
        try:
            data = self._socket.recv(_READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        step = self._stack.receive(data) if data else Step(ended=True)
        if step.reply:
            try:
                # a handshake is short: what does not fit into an empty buffer is no loss
                self._socket.send(step.reply)
            except OSError:
                step = step._replace(ended=True)
        if step.ended or self._stack.opened:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._done(not step.ended, step)

    def abort(self) -> None:
        """Give up."""
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()


class LayeredStream(Stream):
    """A stream whose bytes go through layers; *first* is data that came with the handshake."""

    def __init__(self, receiver: Receiver, sock: socket.socket, stack: Stack, first: bytes) -> None:
        super().__init__(_Unwrapping(receiver, self), sock=sock)
        self._above = receiver
        self.stack = stack
        self._first = first

    def start(self) -> None:
        """Begin to read, with what was read already."""
        super().start()
        if self._first:
            first, self._first = self._first, b""
            self._above.received(first, ())

    def write(self, data: bytes) -> None:
        """Write through the layers."""
        super().write(self.stack.wrap(data))

    def write_raw(self, data: bytes) -> None:
        """Write what a layer has to say."""
        super().write(data)


class _Unwrapping:
    """Receives what comes from the wire, for somebody above."""

    def __init__(self, above: Receiver, stream: LayeredStream) -> None:
        self._above = above
        self._stream = stream

    def received(self, data: bytes, fds: Sequence[int]) -> None:
        step = self._stream.stack.receive(data)
        if step.reply:
            self._stream.write_raw(step.reply)
        if step.data:
            self._above.received(step.data, ())
        if step.ended:
            self._stream.close()

    def pause(self) -> None:
        self._above.pause()

    def resume(self) -> None:
        self._above.resume()

    def lost(self) -> None:
        self._above.lost()
