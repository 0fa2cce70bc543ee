"""Bytes both ways over descriptors that do not block: sockets (with descriptors that come along), pipes, terminals.

A stream holds at most what one message made it hold: whoever writes to it is told to pause as soon as
the other side does not take everything, and to go on when it has.
"""

from __future__ import annotations

import array
import asyncio
import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

__all__ = ["Receiver", "Stream"]

_READ_SIZE = 64 << 10
_HIGH_WATER = 64 << 10
_MAX_FDS = 16
_ANCILLARY = socket.CMSG_SPACE(_MAX_FDS * array.array("i").itemsize)


class Receiver(Protocol):
    """Who gets what a stream brings."""

    def received(self, data: bytes, fds: Sequence[int]) -> None:
        """*data* came, with *fds*, which are the receiver's now."""

    def pause(self) -> None:
        """The other side does not take what is written."""

    def resume(self) -> None:
        """It has taken everything."""

    def lost(self) -> None:
        """The stream has ended; it is called once."""


class Stream:
    """One open connection."""

    def __init__(
        self,
        receiver: Receiver,
        *,
        sock: socket.socket | None = None,
        reading: int | None = None,
        writing: int | None = None,
        ends: bool = True,
    ) -> None:
        """A socket, or a descriptor to read from and one to write to; None: nothing comes, nothing is written.

        *ends*: an end of input closes the stream. The stream closes what it was given.
        """
        self._receiver = receiver
        self._socket = sock
        self._reading = sock.fileno() if sock is not None else reading
        self._writing = sock.fileno() if sock is not None else writing
        # terminals and pipes can be one descriptor for both
        self._fds = {fd for fd in (reading, writing) if fd is not None}
        self._ends = ends
        self._unwritten = bytearray()
        self._paused = False
        self._listening = False
        self._closing = False
        self.closed = False
        self._loop = asyncio.get_running_loop()
        self._unix = sock is not None and sock.family == socket.AF_UNIX
        for fd in {self._reading, self._writing} - {None}:
            assert fd is not None
            os.set_blocking(fd, False)

    @property
    def unwritten(self) -> int:
        """Bytes that wait to be written."""
        return len(self._unwritten)

    def start(self) -> None:
        """Begin to read."""
        self._listen()

    def rest(self) -> None:
        """Read no further until `start`; what comes meanwhile stays where it is."""
        self._deaf()

    def _listen(self) -> None:
        if self._reading is None or self._listening or self._closing:
            return
        try:
            self._loop.add_reader(self._reading, self._readable)
            self._listening = True
        except (PermissionError, OSError):
            # a plain file is always readable, and the event loop does not watch it
            self._loop.call_soon(self._read_file)

    def _read_file(self) -> None:
        if self._reading is None or self._closing or self._paused:
            return
        data = os.read(self._reading, _READ_SIZE)
        if data:
            self._receiver.received(data, ())
            self._loop.call_soon(self._read_file)
        else:
            self._input_ended()

    def _deaf(self) -> None:
        if self._listening:
            assert self._reading is not None
            self._loop.remove_reader(self._reading)
            self._listening = False

    def _readable(self) -> None:
        fds: Sequence[int] = ()
        try:
            if self._socket is None:
                assert self._reading is not None
                data = os.read(self._reading, _READ_SIZE)
            elif self._unix:
                data, ancillary, _, _ = self._socket.recvmsg(_READ_SIZE, _ANCILLARY)
                if ancillary:
                    fds = _descriptors(ancillary)
            else:
                data = self._socket.recv(_READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            # the other end of a terminal was closed, or a peer reset its connection
            data = b""
        if data:
            self._receiver.received(data, fds)
        else:
            self._input_ended()

    def _input_ended(self) -> None:
        self._deaf()
        if self._ends:
            self.close()

    def write(self, data: bytes) -> None:
        """Write, now or when the other side takes it."""
        if self._closing or self._writing is None:
            return
        if not self._unwritten:
            try:
                sent = self._put(data)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError:
                self.abort()
                return
            if sent == len(data):
                return
            data = data[sent:]
            self._loop.add_writer(self._writing, self._writable)
        self._unwritten += data
        if len(self._unwritten) > _HIGH_WATER and not self._paused:
            self._paused = True
            self._deaf()
            self._receiver.pause()

    def _put(self, data: bytes | memoryview) -> int:
        if self._socket is not None:
            return self._socket.send(data)
        assert self._writing is not None
        return os.write(self._writing, data)

    def _writable(self) -> None:
        try:
            with memoryview(self._unwritten) as view:
                sent = self._put(view[: 1 << 20])
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self.abort()
            return
        del self._unwritten[:sent]
        if self._unwritten:
            return
        assert self._writing is not None
        self._loop.remove_writer(self._writing)
        if self._closing:
            self.abort()
        elif self._paused:
            self._paused = False
            self._receiver.resume()
            if not self._paused:
                self._listen()

    def close(self) -> None:
        """Write what is left, then end."""
        if self._closing:
            return
        self._closing = True
        self._deaf()
        if not self._unwritten:
            self.abort()

    def abort(self) -> None:
        """End now."""
        if self.closed:
            return
        self.closed = self._closing = True
        self._deaf()
        if self._writing is not None:
            self._loop.remove_writer(self._writing)
        if self._socket is not None:
            self._socket.close()
        for fd in self._fds:
            if fd > 2:
                with suppress(OSError):
                    os.close(fd)
        self._loop.call_soon(self._receiver.lost)


def _descriptors(ancillary: Sequence[tuple[int, int, bytes]]) -> tuple[int, ...]:
    found = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            found.frombytes(data[: len(data) - len(data) % found.itemsize])
    return tuple(found)
