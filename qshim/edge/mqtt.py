"""One connection to an MQTT broker, over asyncio-mqtt or over aiomqtt, its successor.

Both wrap the same client in almost the same way; what differs is here and nowhere else. Neither is imported before a
connection is wanted: asyncio-mqtt logs a warning as soon as it is. A connection is used once. When it is lost, every
call raises `LinkLost`, and whoever wants another one makes it.

Everything is published with QoS 1, and at most `WINDOW` messages at a time: that many the client sends without keeping
any back, so that messages arrive in the order in which they were given.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import AsyncIterator
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

from qshim.bridge.broker import Access
from qshim.errors import QshimError, UsageError

__all__ = [
    "WINDOW",
    "Link",
    "LinkLost",
    "Message",
    "NotAdmitted",
    "Will",
    "check",
    "connected",
    "library",
    "tls_context",
]

WINDOW = 20
"""Messages without an acknowledgement: the default of paho-mqtt."""

_ACK_SECONDS = 15.0
"""How long a broker may take to acknowledge at most, and no longer than half as long again as the keepalive: one that
reads no more is not told apart from one that is gone."""

_GOODBYE_SECONDS = 3.0
_REASON_SECONDS = 0.5
_LOG_ERROR = 8
"""What paho-mqtt calls MQTT_LOG_ERR."""
_MOST_MESSAGES = 1000
"""Messages that were received and not yet looked at; further ones are thrown away."""

_CODES = {2: "bad identifier", 4: "bad user name or password", 5: "not authorised"}
"""Return codes of MQTT 3.1.1, 3.2.2.3; asyncio-mqtt tells their numbers alone."""

_REFUSED = ("bad user name", "bad username", "not authori", "identifier", "certificate", "alert", "banned")
"""In what libraries say when a broker, or we, want no connection as things are."""


class LinkLost(QshimError):
    """There is no connection to the broker, or no longer."""

    exit_status = 3


class NotAdmitted(LinkLost):
    """The broker does not let us in, or we do not trust it: trying again changes nothing by itself."""


class Message(NamedTuple):
    """Something that was published on a topic we subscribed to."""

    topic: str
    payload: bytes
    retain: bool
    """It was there before we subscribed."""


class Will(NamedTuple):
    """What the broker publishes for us, retained, should we disappear."""

    topic: str
    payload: bytes


def library() -> Any:
    """The module of the library that is installed.

    :raises UsageError: none is, or one that cannot work.
    """
    # it says at once that it has been renamed, and warns of more than ten messages at a time
    log = logging.getLogger("mqtt")
    log.addHandler(logging.NullHandler())
    log.propagate = False
    log.setLevel(logging.CRITICAL)
    for name in ("asyncio_mqtt", "aiomqtt"):
        with contextlib.suppress(ImportError):
            found = import_module(name)
            if name == "asyncio_mqtt" and not version("paho-mqtt").startswith("1."):
                continue
            return found
    if _has("asyncio-mqtt"):
        raise UsageError(
            f"asyncio-mqtt does not work with paho-mqtt {version('paho-mqtt')}: 'qshim[mqtt]' gets one below 2"
        )
    raise UsageError(
        "no MQTT library is installed: pip install 'qshim[mqtt]' gets asyncio-mqtt, 'qshim[aiomqtt]' its successor"
    )


def check(access: Access) -> None:
    """See whether a connection could be tried.

    :raises UsageError: no library is installed, or a file for TLS cannot be read.
    """
    library()
    tls_context(access)


def _has(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


def tls_context(access: Access) -> ssl.SSLContext | None:
    """How the connection is encrypted; None where it is not.

    :raises UsageError: a file cannot be read, or TLS files are named for a connection without TLS.
    """
    if not access.broker.tls:
        if access.ca or access.certificate or access.key:
            raise UsageError(f"{access.broker} has no TLS, so no certificate is used; write mqtts:// or wss://")
        return None
    if access.key and not access.certificate:
        raise UsageError("--mqtt-key belongs to --mqtt-cert; name the certificate, too")
    try:
        context = ssl.create_default_context(cafile=access.ca)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"--mqtt-ca {access.ca}: {_reason(error)}") from error
    if access.certificate:
        try:
            # a key with a password would ask for it on the terminal
            context.load_cert_chain(access.certificate, access.key, password=lambda: b"")
        except (OSError, ssl.SSLError) as error:
            raise UsageError(f"--mqtt-cert {access.certificate}: {_reason(error)}") from error
    return context


class Link:
    """An open connection; made by `connected`."""

    def __init__(self, client: Any, module: Any, messages: Any, access: Access) -> None:
        self._client = client
        self._patience = min(_ACK_SECONDS, 1.5 * access.keepalive)
        self._error = module.MqttError
        self._messages = messages
        self._broker = str(access.broker)

    async def publish(self, topic: str, payload: bytes, *, retain: bool) -> None:
        """Send *payload* and wait until the broker has it.

        :raises LinkLost: it did not say so in time.
        """
        try:
            await self._client.publish(topic, payload, qos=1, retain=retain, timeout=self._patience)
        except (self._error, OSError, ValueError) as error:
            raise LinkLost(f"{self._broker} did not acknowledge a message: {error}") from error

    async def subscribe(self, topic: str) -> None:
        """Receive what is published on *topic*, a filter.

        :raises LinkLost: the broker does not answer.
        """
        try:
            await self._client.subscribe(topic, qos=1, timeout=self._patience)
        except (self._error, OSError, ValueError) as error:
            raise LinkLost(f"{self._broker} did not let us subscribe to {topic}: {error}") from error

    async def messages(self) -> AsyncIterator[Message]:
        """What comes, until the connection is lost.

        :raises LinkLost: it is.
        """
        try:
            async for message in self._messages:
                yield Message(str(message.topic), bytes(message.payload or b""), bool(message.retain))
        except (self._error, OSError) as error:
            raise LinkLost(f"{self._broker} closed the connection: {_reason(error)}") from error

    def drive(self) -> None:
        """Read and write the socket of an open connection ourselves.

        asyncio-mqtt leaves what TLS has decoded already until more comes. aiomqtt puts off the wish to write, and then
        asks for the number of a socket that may be closed by then, or somebody else's.
        """
        loop = asyncio.get_running_loop()
        paho = self._client._client

        def wants_to_write(client: object, data: object, peer: Any) -> None:
            if peer.fileno() >= 0:
                loop.add_writer(peer.fileno(), self._write)

        paho.on_socket_register_write = wants_to_write
        peer = paho.socket()
        if peer is not None:
            loop.add_reader(peer.fileno(), self._read_all)

    def _write(self) -> None:
        try:
            self._client._client.loop_write()
        except Exception:
            self.abort()

    def _read_all(self) -> None:
        paho = self._client._client
        try:
            while True:
                paho.loop_read()
                peer = paho.socket()
                if peer is None or not getattr(peer, "pending", int)():
                    return
        except Exception:
            # a connection that breaks while it is read; the library tells whoever waits
            self.abort()

    async def close(self) -> None:
        """Say goodbye, so that the broker does not publish the last will; hang up where it does not listen."""
        with contextlib.suppress(self._error, OSError, TimeoutError):
            async with asyncio.timeout(_GOODBYE_SECONDS):
                await self._client.__aexit__(None, None, None)
        self.abort()

    def abort(self) -> None:
        """Hang up now."""
        paho = self._client._client
        peer = paho.socket()
        if peer is not None:
            with contextlib.suppress(OSError):
                # a websocket has the real one in it
                getattr(peer, "_socket", peer).shutdown(socket.SHUT_RDWR)
            with contextlib.suppress(Exception):
                paho.loop_read()
        lost = self._client._disconnected
        if lost.done() and not lost.cancelled():
            # whoever had to know was told; asyncio need not complain that nobody asked
            lost.exception()


@contextlib.asynccontextmanager
async def connected(access: Access, will: Will | None = None) -> AsyncIterator[Link]:
    """A connection to the broker of *access*, ended when the context ends: with a goodbye, unless by an error.

    :raises UsageError: there is no library, or a file cannot be read.
    :raises NotAdmitted: the broker refuses us, or its certificate is not to be trusted.
    :raises LinkLost: it cannot be reached.
    """
    module = library()
    client = _client(module, access, will)
    async with contextlib.AsyncExitStack() as stack:
        messages: Any
        if module.__name__ == "asyncio_mqtt":
            messages = await stack.enter_async_context(client.messages(queue_maxsize=_MOST_MESSAGES))
        else:
            messages = client.messages
        link = Link(client, module, messages, access)
        try:
            await _entered(client)
        except (module.MqttError, OSError, ValueError) as error:
            link.abort()
            raise _refusal(access, error) from error
        except BaseException:
            link.abort()
            raise
        link.drive()
        try:
            yield link
        except BaseException:
            # without a goodbye the broker publishes the last will, which is what then is true
            link.abort()
            raise
        await link.close()


async def _entered(client: Any) -> None:
    """Connect; that a connection was lost before the broker answered is known to the libraries, and not told."""
    loop = asyncio.get_running_loop()
    gone = asyncio.Event()
    paho = client._client
    told = paho.on_socket_close

    def closed(*arguments: Any) -> None:
        # it may come from the thread that connects
        loop.call_soon_threadsafe(gone.set)
        told(*arguments)

    paho.on_socket_close = closed
    said = ["it closed the connection at once"]
    paho.on_log = lambda client, data, level, text: said.append(text) if level == _LOG_ERROR else None
    entering = asyncio.ensure_future(client.__aenter__())
    leaving = asyncio.ensure_future(gone.wait())
    try:
        await asyncio.wait((entering, leaving, client._disconnected), return_when=asyncio.FIRST_COMPLETED)
        # a refusal closes the connection, too, and is about to be told
        await asyncio.wait((entering,), timeout=_REASON_SECONDS)
        if not entering.done():
            lost = client._disconnected
            raise (lost.exception() if lost.done() else None) or ConnectionError(said[-1])
        await entering
    finally:
        paho.on_log = None
        leaving.cancel()
        entering.cancel()
        await asyncio.gather(entering, leaving, return_exceptions=True)


def _client(module: Any, access: Access, will: Will | None) -> Any:
    broker = access.broker
    options: dict[str, Any] = {
        "hostname": broker.host,
        "port": broker.port,
        "username": access.user,
        "password": access.password,
        "keepalive": access.keepalive,
        "tls_context": tls_context(access),
        "will": None if will is None else module.Will(will.topic, will.payload, qos=1, retain=True),
    }
    if broker.websocket is not None:
        options |= {"transport": "websockets", "websocket_path": broker.websocket}
    if module.__name__ == "asyncio_mqtt":
        options["client_id"] = access.client_id
    else:
        options |= {"identifier": access.client_id, "max_queued_incoming_messages": _MOST_MESSAGES}
    return module.Client(**options)


def _refusal(access: Access, error: BaseException) -> LinkLost:
    code = getattr(error, "rc", None)
    # aiomqtt tells an object with a text
    reason = (_CODES.get(code) if isinstance(code, int) else None) or _reason(error)
    who = f"the broker at {access.broker}"
    if any(word in reason.lower() for word in _REFUSED):
        return NotAdmitted(f"{who} and we do not come together: {reason}")
    return LinkLost(f"{who} cannot be reached: {reason}")


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
