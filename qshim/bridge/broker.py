"""Where the broker is and who we are there: the URL of `--mqtt`, and what belongs to a connection."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from qshim.bridge.defaults import PREFIX
from qshim.errors import UsageError

__all__ = ["Access", "Broker", "broker_of", "machine_at"]

_PORTS = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}
_WAY_OUT = "put both into a file for --mqtt-credentials, or into QSHIM_MQTT_USER and QSHIM_MQTT_PASSWORD"


@dataclass(frozen=True, slots=True)
class Broker:
    """An MQTT broker and the first levels of our topics there."""

    host: str
    port: int
    prefix: str = PREFIX
    tls: bool = False
    websocket: str | None = None
    """The path of the websocket; None for plain TCP."""

    def __str__(self) -> str:
        scheme = ("wss" if self.tls else "ws") if self.websocket is not None else "mqtts" if self.tls else "mqtt"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Access:
    """All that a connection to a broker needs."""

    broker: Broker
    client_id: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    ca: str | None = None
    """File of the authorities that the broker's certificate is checked with; None: those of the system."""
    certificate: str | None = None
    """File of our own certificate, with its key unless *key* names another file."""
    key: str | None = None
    keepalive: int = 60
    """Seconds after which a silent connection is asked whether it lives."""


def broker_of(url: str) -> Broker:
    """The broker that *url* names: mqtt://HOST[:PORT][/PREFIX], mqtts://, or ws:// and wss://HOST[:PORT]/PATH.

    The path of a websocket is /mqtt unless named; its prefix stands in `?prefix=PREFIX`, as it may for the others.

    >>> broker_of("mqtt://localhost/lab").prefix
    'lab'

    :raises UsageError: it is none, or has a user name or a password in it, which the message does not repeat.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        # its text would repeat what may be a password
        raise UsageError("the URL of --mqtt cannot be read: it is mqtt://HOST:PORT/PREFIX") from None
    if "@" in parts.netloc:
        raise UsageError(
            f"--mqtt: a URL is seen in the list of processes, so no user and no password stand in it; {_WAY_OUT}"
        )
    if parts.scheme not in _PORTS:
        raise UsageError(f"--mqtt {url}: it begins with mqtt://, mqtts://, ws:// or wss://")
    if not parts.hostname or port == 0:
        raise UsageError(f"--mqtt {url}: it names no host, or no port from 1 to 65535")
    if parts.fragment:
        raise UsageError(f"--mqtt {url}: `#` has no meaning in it")
    options = _options(parts, url)
    websocket = (parts.path or "/mqtt") if parts.scheme.startswith("ws") else None
    prefix = options.get("prefix", PREFIX if websocket else unquote(parts.path).strip("/") or PREFIX)
    if not _is_prefix(prefix):
        raise UsageError(f"--mqtt {url}: the prefix {prefix!r} has an empty level, + or #, or begins with $")
    return Broker(parts.hostname, port or _PORTS[parts.scheme], prefix, parts.scheme in ("mqtts", "wss"), websocket)


def machine_at(source: str) -> tuple[Broker, str]:
    """The broker, and the first levels of the topics of one machine, that *source* names.

    That is mqtt://HOST[:PORT]/PREFIX/HOST/VM with the levels of the topic as they are, escaped names included, or
    ws://HOST[:PORT]/PATH?prefix=PREFIX/HOST/VM.

    >>> machine_at("mqtt://localhost/qshim/lab/web%2F1")[1]
    'qshim/lab/web%2F1'

    :raises UsageError: it names none.
    """
    if source.startswith("ws"):
        broker = broker_of(source)
        base = broker.prefix
    else:
        scheme, _, rest = source.partition("://")
        authority, _, base = rest.partition("/")
        broker = broker_of(f"{scheme}://{authority}")
    levels = base.split("/")
    if len(levels) < 3 or not all(levels) or set("+#") & set(base):
        raise UsageError(f"{source}: behind the broker stands PREFIX/HOST/VM, as in mqtt://broker/{PREFIX}/lab/web")
    return broker, base


def _options(parts: SplitResult, url: str) -> dict[str, str]:
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = options.keys() - {"prefix"}
    if unknown:
        raise UsageError(f"--mqtt {url}: {', '.join(sorted(unknown))} is unknown; only prefix=PREFIX stands behind ?")
    return options


def _is_prefix(prefix: str) -> bool:
    levels = prefix.split("/")
    return all(levels) and prefix.isprintable() and not prefix.startswith("$") and not set("+#") & set(prefix)
