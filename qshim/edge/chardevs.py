"""Listening sockets as QEMU's socket character device has them: one client at a time (spec/monitor.md 1.10).

While a client is connected nobody else is accepted; the kernel keeps the next ones waiting, with
what they already sent. When the client leaves, the next is accepted and greeted.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable

from qshim.argv import SocketAddress
from qshim.errors import UsageError

__all__ = ["ListeningSocket"]

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_log = logging.getLogger(__name__)


class ListeningSocket:
    """One address; makes a protocol for each client in turn."""

    def __init__(self, address: SocketAddress, protocol: Callable[[ListeningSocket], asyncio.BaseProtocol]) -> None:
        """*protocol* makes the protocol of the next client; it calls `released` when that client is gone."""
        self.address = address
        self.first_client = asyncio.Event()
        self._protocol = protocol
        self._socket: socket.socket | None = None
        self._accepting: asyncio.Task[object] | None = None
        self._inode: tuple[int, int] | None = None

    def open(self) -> None:
        """Bind and listen. A unix socket is for its owner alone and replaces a file that stands there.

        :raises UsageError: the address cannot be had, or is not a loopback address.
        """
        address = self.address
        try:
            self._socket = self._bound_unix(address.path) if address.path is not None else self._bound_tcp()
        except OSError as error:
            raise UsageError(f"Failed to bind socket to {address}: {error.strerror}") from error
        self._socket.setblocking(False)
        # like QEMU: one more client may wait in the queue
        self._socket.listen(1)
        self.released()

    def _bound_unix(self, path: str) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        umask = os.umask(0o177)
        try:
            if os.path.lexists(path):
                os.unlink(path)
            sock.bind(path)
        except BaseException:
            sock.close()
            raise
        finally:
            os.umask(umask)
        status = os.stat(path)
        self._inode = (status.st_dev, status.st_ino)
        return sock

    def _bound_tcp(self) -> socket.socket:
        host = self.address.host
        if host not in _LOOPBACK:
            raise UsageError(f"{self.address}: qshim listens on loopback only; use tcp:127.0.0.1:{self.address.port}")
        family, kind, protocol, _, where = socket.getaddrinfo(host, self.address.port, type=socket.SOCK_STREAM)[0]
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(where)
        except BaseException:
            sock.close()
            raise
        return sock

    @property
    def port(self) -> int:
        """The TCP port that is listened on; differs from the address's when that was 0."""
        assert self._socket is not None
        port: int = self._socket.getsockname()[1]
        return port

    def released(self) -> None:
        """The client is gone: accept the next one."""
        if self._socket is not None:
            asyncio.get_running_loop().add_reader(self._socket, self._accept)

    def _accept(self) -> None:
        assert self._socket is not None
        try:
            client, _ = self._socket.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._socket)
        if client.family != socket.AF_UNIX:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.setblocking(False)
        self.first_client.set()
        _log.info("client on %s", self.address)
        self._accepting = loop.create_task(loop.connect_accepted_socket(lambda: self._protocol(self), client))

    def close(self) -> None:
        """Listen no more and remove a unix socket's file, unless somebody has put another one there."""
        if self._socket is None:
            return
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        self._socket = None
        path = self.address.path
        if path is not None:
            try:
                status = os.lstat(path)
                if (status.st_dev, status.st_ino) == self._inode:
                    os.unlink(path)
            except OSError:
                _log.info("%s was already gone", path)
