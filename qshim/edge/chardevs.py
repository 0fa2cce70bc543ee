"""Character devices as QEMU has them: sockets that listen or connect, terminals, pipes, files (monitor.md 1.10, 6.2).

A socket serves one client at a time. While one is connected nobody else is accepted; the kernel keeps
the next ones waiting, with what they already sent. When the client leaves, the next is accepted.
"""

from __future__ import annotations

import asyncio
import logging
import os
import select
import socket
import tty
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from qshim.argv import Chardev, OptionError, SocketAddress
from qshim.edge.stream import Receiver, Stream
from qshim.errors import QshimError
from qshim.vm import Ring

if TYPE_CHECKING:
    from qshim.argv.plan import ObjectPlan
    from qshim.edge.layers import Layer, Opening
    from qshim.monitor.websocket import Step

__all__ = ["Backend", "Policy", "backend"]

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_PTY_POLL_SECONDS = 0.1
_log = logging.getLogger(__name__)


class Policy(NamedTuple):
    """What may be opened, and how."""

    allow_remote: bool = False
    """TCP may listen on, and connect to, other addresses than loopback."""
    remote_hint: str = "--allow-remote permits more"
    """What would allow it."""
    owner_only: bool = True
    """A unix socket is for its owner alone; otherwise the umask decides, as in QEMU."""
    clients_name_peer: bool = True
    """A unix socket that connects is called by the path it is connected to; otherwise by its own, which it has not."""
    objects: Mapping[str, ObjectPlan] = MappingProxyType({})
    """What -object describes, by id: TLS credentials are among it."""


class _Nobody:
    """Receives what a device without a monitor gets."""

    def received(self, data: bytes, fds: Sequence[int]) -> None:
        """Never called: such a stream is not started."""

    def pause(self) -> None:
        """Nothing is written."""

    def resume(self) -> None:
        """Nothing is written."""

    def lost(self) -> None:
        """It is closed."""


class Backend:
    """One character device. Made closed; *connected* makes who gets the bytes of each connection."""

    def __init__(self, device: Chardev, policy: Policy) -> None:
        self.device = device
        self.policy = policy
        self.connected: Callable[[Backend, Callable[[Receiver], Stream]], None] | None = None
        self.first_client = asyncio.Event()
        self.ring: Ring | None = None
        """Where a ring buffer keeps what is written to it."""
        self.told = True
        """Whether the name of a terminal is printed."""
        self._unused: Stream | None = None

    @property
    def filename(self) -> str:
        """As query-chardev names it."""
        return self.device.kind

    def open(self) -> None:
        """Open it; a device that needs no peer is connected at once.

        :raises OptionError: it cannot be had.
        """
        self._connect(lambda receiver: Stream(receiver))

    def released(self) -> None:
        """The connection has ended."""

    def close(self) -> None:
        """Open nothing any more and remove what was made."""
        self._hang_up()

    def _hang_up(self) -> None:
        if self._unused is not None:
            self._unused.abort()
            self._unused = None

    def _connect(self, make: Callable[[Receiver], Stream]) -> None:
        if self.connected is not None:
            self.connected(self, make)
        else:
            # nobody reads it, but the peer is connected
            self._unused = make(_Nobody())
        self.first_client.set()

    def _fail(self, desc: str) -> OptionError:
        return OptionError(f"{self.device.option}: {desc}")


class _Terminal(Backend):
    """Standard input and output."""

    _saved: list[Any] | None = None

    def open(self) -> None:
        if os.isatty(0):
            import termios

            self._saved = termios.tcgetattr(0)
            termios.tcsetattr(0, termios.TCSANOW, _raw(self._saved, self.device.signals))
        self._connect(lambda receiver: Stream(receiver, reading=0, writing=1, ends=False))

    def close(self) -> None:
        self._hang_up()
        if self._saved is not None:
            import termios

            termios.tcsetattr(0, termios.TCSANOW, self._saved)
            self._saved = None
        for fd in (0, 1):
            with suppress(OSError):
                os.set_blocking(fd, True)


def _raw(mode: list[Any], signals: bool) -> list[Any]:
    """The mode in which QEMU has its terminal: every key at once and unseen, Enter as CR, LF printed as CR LF."""
    import termios as t

    keys = (t.IGNBRK, t.BRKINT, t.PARMRK, t.ISTRIP, t.INLCR, t.IGNCR, t.ICRNL, t.IXON)
    iflag, oflag, cflag, lflag, ispeed, ospeed, cc = mode
    iflag &= ~sum(keys)
    lflag &= ~(t.ECHO | t.ECHONL | t.ICANON | t.IEXTEN | (0 if signals else t.ISIG))
    cflag = cflag & ~(t.CSIZE | t.PARENB) | t.CS8
    cc = list(cc)
    cc[t.VMIN], cc[t.VTIME] = 1, 0
    return [iflag, oflag | t.OPOST, cflag, lflag, ispeed, ospeed, cc]


class _File(Backend):
    def open(self) -> None:
        device = self.device
        flags = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if device.append else os.O_TRUNC)
        writing = self._opened(device.path, flags)
        reading = None if device.input_path is None else self._opened(device.input_path, os.O_RDONLY)
        self._connect(lambda receiver: Stream(receiver, reading=reading, writing=writing, ends=False))

    def _opened(self, path: str, flags: int) -> int:
        try:
            return os.open(path, flags | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise self._fail(f"Could not open '{path}': {error.strerror}") from None


class _Pipe(_File):
    """The pipes PATH.in and PATH.out, or PATH for both ways."""

    def open(self) -> None:
        path = self.device.path
        try:
            reading = os.open(f"{path}.in", os.O_RDWR | os.O_CLOEXEC)
            writing = os.open(f"{path}.out", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            reading = writing = self._opened(path, os.O_RDWR)
        self._connect(lambda receiver: Stream(receiver, reading=reading, writing=writing, ends=False))


class _RingBuffer(Backend):
    def __init__(self, device: Chardev, policy: Policy) -> None:
        super().__init__(device, policy)
        self.ring: Ring = Ring(device.size)

    def open(self) -> None:
        self._connect(lambda receiver: _RingStream(receiver, self.ring))


class _RingStream(Stream):
    """Nothing comes from a ring buffer; what is written stays there."""

    def __init__(self, receiver: Receiver, ring: Ring) -> None:
        super().__init__(receiver)
        self._ring = ring

    def write(self, data: bytes) -> None:
        self._ring.write(data)


class _Pty(Backend):
    """A pseudo terminal; somebody is connected while its other end is open."""

    _master = -1
    _name = ""
    _timer: asyncio.TimerHandle | None = None

    @property
    def filename(self) -> str:
        return f"pty:{self._name}"

    def open(self) -> None:
        self._master, slave = os.openpty()
        tty.setraw(slave)
        self._name = os.ttyname(slave)
        os.close(slave)
        if self.told:
            print(f"char device redirected to {self._name} (label {self.device.id})", flush=True)
        self.first_client.set()
        self.released()

    def released(self) -> None:
        if self._master >= 0:
            self._timer = asyncio.get_running_loop().call_later(_PTY_POLL_SECONDS, self._look)

    def _look(self) -> None:
        poll = select.poll()
        poll.register(self._master, 0)
        if any(event & select.POLLHUP for _, event in poll.poll(0)):
            self.released()
            return
        ours = os.dup(self._master)
        self._connect(lambda receiver: Stream(receiver, reading=ours, writing=ours))

    def close(self) -> None:
        self._hang_up()
        if self._timer is not None:
            self._timer.cancel()
        if self._master >= 0:
            os.close(self._master)
            self._master = -1


class _Udp(Backend):
    """Datagrams from and to one address. It never opens, as in QEMU: a QMP monitor on it stays silent."""

    def open(self) -> None:
        device = self.device
        for host in (device.remote[0], device.local[0]):
            if host and host not in _LOOPBACK and not self.policy.allow_remote:
                raise self._fail(f"qshim uses UDP on loopback only, not on '{host}'; {self.policy.remote_hint}")
        local = device.local if device.local[0] or self.policy.allow_remote else ("127.0.0.1", device.local[1])
        found = socket.getaddrinfo(*device.remote, family=socket.AF_INET, type=socket.SOCK_DGRAM)
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            sock.bind(local)
            sock.connect(found[0][4])
        except OSError as error:
            sock.close()
            raise self._fail(f"Failed to bind socket: {error.strerror}") from None
        self._connect(lambda receiver: _Datagrams(receiver, sock=sock, ends=False))


class _Datagrams(Stream):
    """Nobody listening at the other end is no reason to stop, and nothing is too much for the peer."""

    def write(self, data: bytes) -> None:
        with suppress(OSError):
            self._put(data)


class _Socket(Backend):
    def __init__(self, device: Chardev, policy: Policy) -> None:
        super().__init__(device, policy)
        assert device.address is not None
        self.address: SocketAddress = device.address
        self._socket: socket.socket | None = None
        self._inode: tuple[int, int] | None = None
        self._file: str | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._attempt: asyncio.Task[None] | None = None
        self._peer = ""
        self._there = False
        self._closed = False
        self._own: tuple[str, int] | None = None
        """Host and port that we connect from."""
        self._opening: Opening | None = None
        self._tls: Callable[[], Layer] | None = None

    def _hang_up(self) -> None:
        super()._hang_up()
        if self._opening is not None:
            self._opening.abort()
            self._opening = None

    @property
    def filename(self) -> str:
        if self._there:
            return f"{self._here(self.address)}{self._peer}"
        # a client device that is not connected is not marked
        return f"disconnected:{self.address}" if self.address.server else str(self.address)

    def _here(self, address: SocketAddress) -> str:
        """The connected *address* by the name of our end, which has none where it is a unix socket that connects."""
        if address.path is not None and (
            address.abstract or not (address.server or self.policy.clients_name_peer)
        ):
            return f"unix:{',server=on' if address.server else ''}"
        return str(address._replace(host=self._own[0], port=self._own[1]) if self._own is not None else address)

    def _check_reach(self) -> None:
        address = self.address
        if address.abstract and address.server and self.policy.owner_only:
            raise self._fail(
                f"every user of this host could connect to the abstract socket '{address.path}'; drop abstract=on"
            )
        if address.path is None and address.fd is None and address.host not in _LOOPBACK:
            if self.policy.allow_remote:
                return
            raise self._fail(
                f"qshim uses TCP on loopback only, not on '{address.host or '0.0.0.0'}'; {self.policy.remote_hint}"
            )

    def _secure(self) -> None:
        """See to TLS, where it is wanted."""
        address = self.address
        if address.credentials is not None:
            # hardly any machine has it, and a greeting waits for what is imported
            from qshim.edge.tls import tls_layer

            try:
                self._tls = tls_layer(
                    address.credentials, self.policy.objects, server=address.server, host=address.host
                )
            except QshimError as error:
                raise self._fail(str(error)) from None

    def _adopted(self, fd: int) -> socket.socket:
        try:
            return socket.socket(fileno=fd)
        except OSError:
            raise self._fail(f"File descriptor '{fd}' is not a socket") from None

    def _connected_to(self, sock: socket.socket) -> None:
        """A client is there; it may have to shake hands first."""
        if not self.address.websocket and self.address.credentials is None:
            self._opened(sock, lambda receiver: Stream(receiver, sock=sock))
            return
        # hardly any machine has them, and a greeting waits for what is imported
        from qshim.edge.layers import LayeredStream, Opening, Stack, websocket

        layers: list[Layer] = []
        if self._tls is not None:
            layers.append(self._tls())
        if self.address.websocket:
            layers.append(websocket())
        stack = Stack(layers)

        def done(opened: bool, step: Step) -> None:
            self._opening = None
            if opened:
                self._opened(sock, lambda receiver: LayeredStream(receiver, sock, stack, step.data))
            else:
                sock.close()
                self.released()

        self._opening = Opening(sock, stack, done)

    def _opened(self, sock: socket.socket, make: Callable[[Receiver], Stream]) -> None:
        if sock.family != socket.AF_UNIX:
            with suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                host, port = sock.getpeername()[:2]
                self._peer = f" <-> {host}:{port}"
                self._own = None if self.address.server else sock.getsockname()[:2]
        self._there = True
        _log.info("client on %s", self.address)
        self._connect(make)


class _Listening(_Socket):
    def open(self) -> None:
        self._check_reach()
        self._secure()
        address = self.address
        try:
            if address.fd is not None:
                self._socket = self._adopted(address.fd)
                name = self._socket.getsockname()
                if isinstance(name, str) and name:
                    self.address = address._replace(fd=None, path=name)
            else:
                self._socket = self._bound_unix(address.path) if address.path is not None else self._bound_tcp()
                # like QEMU: one more client may wait in the queue
                self._socket.listen(1)
        except OSError as error:
            where = address.path if address.path is not None else f"'{address.host}:{address.port}'"
            verb = "bind socket to" if address.path is not None else "find an available port for"
            raise self._fail(f"Failed to {verb} {where}: {error.strerror}") from error
        self._socket.setblocking(False)
        self._accept_next()

    def _bound_unix(self, path: str) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        if self.address.abstract:
            try:
                sock.bind(self.address.bound_to or "")
            except BaseException:
                sock.close()
                raise
            return sock
        umask = os.umask(0o177) if self.policy.owner_only else None
        try:
            if os.path.lexists(path):
                os.unlink(path)
            sock.bind(path)
        except BaseException:
            sock.close()
            raise
        finally:
            if umask is not None:
                os.umask(umask)
        status = os.stat(path)
        self._inode = (status.st_dev, status.st_ino)
        # a daemon changes its directory
        self._file = os.path.abspath(path)
        return sock

    def _bound_tcp(self) -> socket.socket:
        error: OSError | None = None
        for family, kind, protocol, _, where in _resolved(self.address, passive=True):
            sock = socket.socket(family, kind, protocol)
            try:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.bind(where)
            except OSError as failure:
                sock.close()
                error = failure
                continue
            host, port = sock.getsockname()[:2]
            self.address = self.address._replace(host=host, port=port)
            return sock
        raise error or OSError(0, "no address")

    def _accept_next(self) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().add_reader(self._socket, self._accept)

    def released(self) -> None:
        self._there = False
        self._peer = ""
        self._accept_next()

    def _accept(self) -> None:
        assert self._socket is not None
        try:
            client, _ = self._socket.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        asyncio.get_running_loop().remove_reader(self._socket)
        self._connected_to(client)

    def close(self) -> None:
        self._hang_up()
        if self._socket is None:
            return
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        self._socket = None
        path = None if self.address.abstract else self._file or self.address.path
        # not if somebody has put another one there; a socket that we were given goes, too, as with QEMU
        if path is not None:
            try:
                status = os.lstat(path)
                if self._inode in (None, (status.st_dev, status.st_ino)):
                    os.unlink(path)
            except OSError:
                _log.info("%s was already gone", path)


class _Connecting(_Socket):
    def open(self) -> None:
        self._check_reach()
        self._secure()
        if self.address.fd is not None:
            self._connected_to(self._adopted(self.address.fd))
            return
        try:
            self._connected_to(self._connection())
        except OSError as error:
            if not self.address.reconnect:
                where = self.address.path or f"{self.address.host}:{self.address.port}"
                raise self._fail(f"Failed to connect to '{where}': {error.strerror}") from None
            self.first_client.set()
            self.released()

    def _connection(self) -> socket.socket:
        if self.address.path is not None:
            sock = socket.socket(socket.AF_UNIX)
            places: Iterable[tuple[socket.socket, object]] = [(sock, self.address.bound_to)]
        else:
            places = ((socket.socket(f, k, p), where) for f, k, p, _, where in _resolved(self.address))
        error: OSError | None = None
        for sock, where in places:
            try:
                sock.connect(where)  # type: ignore[arg-type]
                return sock
            except OSError as failure:
                sock.close()
                error = failure
        raise error or OSError(0, "no address")

    def released(self) -> None:
        self._there = False
        self._peer = ""
        self._own = None
        if self.address.reconnect and not self._closed:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self.address.reconnect, self._retry)

    def _retry(self) -> None:
        self._attempt = asyncio.get_running_loop().create_task(self._connect_again())

    async def _connect_again(self) -> None:
        try:
            sock = await asyncio.to_thread(self._connection)
        except OSError:
            self.released()
            return
        if self._closed:
            sock.close()
        else:
            self._connected_to(sock)

    def close(self) -> None:
        self._hang_up()
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()


_Resolved = tuple[int, int, int, str, tuple[object, ...]]


def _resolved(address: SocketAddress, *, passive: bool = False) -> list[_Resolved]:
    flags = socket.AI_PASSIVE if passive else 0
    try:
        found = socket.getaddrinfo(address.host or None, address.port, type=socket.SOCK_STREAM, flags=flags)
    except socket.gaierror as error:
        raise OSError(error.errno, error.strerror) from None
    return [(int(f), int(k), p, name, where) for f, k, p, name, where in found]


def backend(device: Chardev, policy: Policy) -> Backend:
    """The character device that *device* describes, not open yet."""
    if device.address is not None:
        return (_Listening if device.address.server else _Connecting)(device, policy)
    kinds = {"stdio": _Terminal, "file": _File, "pipe": _Pipe, "pty": _Pty, "ringbuf": _RingBuffer,
             "udp": _Udp}  # fmt: skip
    return kinds.get(device.kind, Backend)(device, policy)
