"""Serving a machine: its monitors on their sockets, signals, and the orderly end (spec/monitor.md 1.9 to 1.11)."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from qshim.argv import Monitor
from qshim.edge.chardevs import ListeningSocket
from qshim.monitor.qmp.session import QmpSession
from qshim.vm import Vm

__all__ = ["Server", "log_to_stderr", "serve"]

_READ_SIZE = 64 << 10
_HIGH_WATER = 64 << 10
_FAREWELL_SECONDS = 1.0
_GREETING_SECONDS = 0.01
_log = logging.getLogger(__name__)


class _Connection(asyncio.BufferedProtocol):
    """A client of one monitor: bytes to its session and back.

    At most one read, one reply and the write buffer are held: reading stops while the client does
    not take its replies.
    """

    def __init__(self, server: Server, monitor: Monitor, listener: ListeningSocket) -> None:
        self._server = server
        self._listener = listener
        self._buffer = bytearray(_READ_SIZE)
        self._view = memoryview(self._buffer)
        self._paused = False
        self.session = QmpSession(server.vm, self._send, pretty=monitor.pretty)
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.set_write_buffer_limits(high=_HIGH_WATER)
        self._server.connections.add(self)
        self._server.first_greeted.set()
        if self._server.vm.ended:
            transport.close()
            return
        self.session.start()

    def _send(self, data: bytes) -> None:
        transport = self.transport
        assert transport is not None
        if not transport.is_closing():
            transport.write(data)

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.session.receive(bytes(self._view[:nbytes]))

    def pause_writing(self) -> None:
        self._paused = True
        self.session.pause()
        assert self.transport is not None
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        self._paused = False
        self.session.resume()
        if self._paused:
            return
        assert self.transport is not None
        self.transport.resume_reading()

    def eof_received(self) -> None:
        # The client may have closed its sending side only. It gets what it asked for: an end is only read
        # when everything before it is answered, and closing writes what is left.
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        self.session.stop()
        self._server.connections.discard(self)
        self._server.one_gone()
        self._listener.released()


class Server:
    """The monitors of one machine."""

    def __init__(self, vm: Vm, monitors: Sequence[Monitor]) -> None:
        self.vm = vm
        self.connections: set[_Connection] = set()
        self.first_greeted = asyncio.Event()
        self._ended = asyncio.Event()
        self._all_gone = asyncio.Event()
        self.listeners = [ListeningSocket(monitor.address, partial(_Connection, self, monitor)) for monitor in monitors]
        vm.subscribe(lambda event: None, self._ended.set)

    def one_gone(self) -> None:
        """A connection is lost."""
        if not self.connections:
            self._all_gone.set()

    async def start(self) -> None:
        """Listen on every address, in order; one with wait=on first waits for its client, as QEMU does.

        :raises UsageError: an address cannot be had; what was opened before is closed.
        """
        try:
            for listener in self.listeners:
                listener.open()
                _log.info("listening on %s", listener.address)
                if listener.address.wait:
                    print(f"qshim: info: waiting for connection on {listener.address}", file=sys.stderr, flush=True)
                    waits = [asyncio.ensure_future(e.wait()) for e in (listener.first_client, self._ended)]
                    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                    for wait in waits:
                        wait.cancel()
        except BaseException:
            self.close()
            raise

    async def run(self) -> None:
        """Serve until the machine quits; then `end`."""
        await self._ended.wait()
        await self.end()

    async def end(self) -> None:
        """Stop listening, let each client have what was written for it, and close."""
        self.close()
        if self.connections:
            self._all_gone.clear()
            for connection in tuple(self.connections):
                if connection.transport is not None:
                    connection.transport.close()
            try:
                await asyncio.wait_for(self._all_gone.wait(), _FAREWELL_SECONDS)
            except TimeoutError:
                # a client that never reads does not keep the machine alive
                for connection in tuple(self.connections):
                    if connection.transport is not None:
                        connection.transport.abort()
                await asyncio.sleep(0)

    async def greeted(self) -> None:
        """Until a client that was waiting to connect has been greeted, or a moment has passed."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.first_greeted.wait(), _GREETING_SECONDS)

    def close(self) -> None:
        """Stop listening."""
        for listener in self.listeners:
            listener.close()


async def _serve(vm: Vm, monitors: Sequence[Monitor]) -> None:
    loop = asyncio.get_running_loop()
    server = Server(vm, monitors)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, _terminate, vm, number)
    await server.start()
    # making the memory takes longer than all the rest, and the greeting does not need it
    await server.greeted()
    try:
        vm.build()
    except BaseException:
        await server.end()
        raise
    await server.run()


def _terminate(vm: Vm, number: signal.Signals) -> None:
    print(f"qshim: terminating on signal {number.value}", file=sys.stderr, flush=True)
    vm.shutdown("host-signal")


def serve(vm: Vm, monitors: Sequence[Monitor]) -> None:
    """Serve *monitors* in this process until the machine quits or a signal ends it.

    :raises UsageError: an address cannot be listened on.
    """
    asyncio.run(_serve(vm, monitors))


def log_to_stderr(level: str) -> None:
    """Print log records of *level* (`debug`, `info`, `warning`, `error`) and above on stderr."""
    logging.basicConfig(level=level.upper(), stream=sys.stderr, format="qshim: %(message)s")
