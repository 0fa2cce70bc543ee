"""Character devices: `-chardev BACKEND,id=...`, and the short form of -qmp and -monitor (monitor.md 6.2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from qshim.argv.dialect import Dialect
from qshim.argv.errors import OptionError
from qshim.argv.opts import IDENTIFIER_HINT, identifier, members, on_off, size

__all__ = ["KINDS", "Chardev", "SocketAddress", "parse_chardev", "parse_short"]

KINDS = ("socket", "udp", "stdio", "file", "pipe", "null", "pty", "ringbuf", "vc")
"""What qshim has; `memory` is QEMU's second name for ringbuf."""

_FOREIGN = ("serial", "parallel", "msmouse", "wctablet", "testdev", "qemu-vdagent", "mux", "hub", "dbus",
            "spicevmc", "spiceport", "braille", "tty", "parport")  # fmt: skip
_KEYS = frozenset(
    [
        "backend",
        "path",
        "host",
        "port",
        "fd",
        "to",
        "ipv4",
        "ipv6",
        "localaddr",
        "localport",
        "name",
        "logfile",
        "logappend",
        "mouse",
        "rows",
        "cols",
        "width",
        "height",
        "mux",
        "signal",
        "size",
        "chardev",
        "server",
        "wait",
        "delay",
        "nodelay",
        "reconnect",
        "reconnect-ms",
        "telnet",
        "tn3270",
        "tls-creds",
        "tls-authz",
        "websocket",
        "abstract",
        "tight",
        "append",
        "input-path",
        "clipboard",
        "debug",
        "id",
        "encoding",
        "chardevs.0",
    ]
)
_MAX_PATH = 108
_Fail = Callable[[str], OptionError]


class SocketAddress(NamedTuple):
    """A socket: *path* for unix, *host* and *port* for TCP (port 0: any free one), or *fd*, which is open already."""

    path: str | None = None
    host: str = ""
    port: int = 0
    fd: int | None = None
    server: bool = True
    """Listens; otherwise it connects."""
    wait: bool = True
    """Start-up waits for the first client (QEMU's default)."""
    telnet: bool = False
    websocket: bool = False
    credentials: str | None = None
    """Id of the TLS credentials; None: no TLS."""
    reconnect: float = 0
    """Seconds until a client connects again; 0: never."""
    abstract: bool = False
    """*path* is no file, but a name in Linux's abstract namespace."""
    tight: bool = True
    """An abstract name ends with its last character; otherwise it is filled up with NULs."""

    def __str__(self) -> str:
        """As query-chardev and messages write it."""
        server = ",server=on" if self.server else ""
        if self.fd is not None:
            return f"unix:{server}"
        if self.path is not None:
            kind = f",abstract=on{',tight=on' if self.tight else ''}" if self.abstract else ""
            return f"unix:{self.path}{kind}{server}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        kind = "telnet" if self.telnet else "websocket" if self.websocket else "tcp"
        return f"{kind}:{host}:{self.port}{server}"


    @property
    def bound_to(self) -> str | None:
        """What a unix socket is bound to: a path, or an abstract name with its leading NUL; None for TCP."""
        if self.path is None or not self.abstract:
            return self.path
        return f"\0{self.path}" if self.tight else f"\0{self.path}".ljust(_MAX_PATH, "\0")


class Chardev(NamedTuple):
    """One character device."""

    id: str
    kind: str
    """One of `KINDS`."""
    option: str
    """The option as it was typed; stands in front of error texts."""
    address: SocketAddress | None = None
    remote: tuple[str, int] = ("", 0)
    """udp: host and port that everything goes to."""
    local: tuple[str, int] = ("", 0)
    """udp: where it comes from; an empty host is any, port 0 any free one."""
    path: str = ""
    """file and pipe"""
    input_path: str | None = None
    append: bool = False
    size: int = 65536
    """ringbuf: bytes, a power of two."""
    mux: bool = False
    """Several users may share it; Ctrl-A c goes from one to the next."""
    signals: bool = True
    """stdio: Ctrl-C and the like are signals, not input."""


def parse_chardev(option: str, text: str, dialect: Dialect) -> tuple[Chardev, tuple[str, ...]]:
    """The character device that `-chardev` *text* describes, and the warnings about it.

    :raises OptionError: in QEMU's words, or one sentence for a backend that qshim does not have.
    """

    def fail(desc: str) -> OptionError:
        return OptionError(f"{option} {text}: {desc}")

    values, warnings = members(text, "backend")
    for key in values:
        if key not in _KEYS or key in dialect.unknown_chardev_keys:
            raise fail(f"Invalid parameter '{key}'")
    if "id" not in values:
        raise fail("chardev: no id specified")
    if not identifier(values["id"]):
        raise fail(f"Parameter 'id' expects an identifier{IDENTIFIER_HINT}")
    if "backend" not in values:
        raise fail(f'chardev: "{values["id"]}" missing backend')
    device = _backend(f"{option} {text}", values, fail)
    return device, tuple(f"{option} {text}: {warning}" for warning in warnings)


def parse_short(option: str, text: str, label: str, dialect: Dialect) -> Chardev:
    """The character device, to be called *label*, that `-qmp` or `-monitor` *text* describes.

    :raises OptionError: in QEMU's words, or one sentence for a backend that qshim does not have.
    """
    where = f"{option} {text}"

    def fail(*descs: str) -> OptionError:
        return OptionError(*(f"{where}: {desc}" for desc in (*descs, f"parse error: {text}")))

    name = text.removeprefix("mon:")
    kind, colon, rest = name.partition(":")
    values: dict[str, str]
    if name in ("stdio", "null", "pty", "vc"):
        values = {"backend": name}
    elif kind == "vc" and colon:
        values = {"backend": "vc"}
    elif kind == "chardev" and text.startswith("mon:"):
        raise fail(f"'{name}' is not a valid char driver")
    elif kind in ("file", "pipe") and colon:
        values = {"backend": kind, "path": rest}
    elif kind == "unix" and colon:
        values = {"backend": "socket", **members(rest, "path").values}
    elif kind == "udp" and colon:
        values = _short_udp(rest)
        if not values:
            raise fail()
    elif kind in ("tcp", "telnet", "websocket") and colon:
        place, comma, behind = rest.partition(",")
        host, colon, port = place.rpartition(":")
        if not colon or not port:
            raise fail()
        values = {"backend": "socket", "host": host.strip("[]"), "port": port}
        values |= members(behind).values if comma else {}
        if kind in ("telnet", "websocket"):
            values[kind] = "on"
    elif name in _FOREIGN or (kind == "tn3270" and colon) or name.startswith(("/dev/", "COM")):
        raise OptionError(f"{where}: {_not_ours(name)}")
    else:
        raise fail(f"'{name}' is not a valid char driver")
    for key in values:
        if key not in _KEYS or key in dialect.unknown_chardev_keys:
            raise fail(f"Invalid parameter '{key}'")
    if text.startswith("mon:"):
        values["mux"] = "on"
        if name == "stdio":
            values["signal"] = "off"
    return _backend(where, values | {"id": label}, lambda desc: OptionError(f"{where}: {desc}"))


def _short_udp(text: str) -> dict[str, str]:
    """The members of `[HOST]:PORT[@[LOCALADDR]:LOCALPORT]`; none where it does not read so."""
    remote, at, local = text.partition("@")
    host, colon, port = remote.rpartition(":")
    if not colon or not port:
        return {}
    values = {"backend": "udp", "host": host, "port": port}
    if at:
        host, colon, port = local.rpartition(":")
        if not colon:
            return {}
        values |= {"localaddr": host, "localport": port}
    return {key: value for key, value in values.items() if value}


def _not_ours(name: str) -> str:
    return f"qshim has no character device of the kind '{name}'; it has {', '.join(KINDS)}"


def _backend(option: str, values: dict[str, str], fail: _Fail) -> Chardev:
    kind = {"memory": "ringbuf"}.get(values["backend"], values["backend"])
    if kind in _FOREIGN:
        raise fail(_not_ours(kind))
    if kind not in KINDS:
        raise fail(f"'{kind}' is not a valid char driver name")
    device = Chardev(values["id"], kind, option, mux=on_off(values, "mux", False, fail))
    if kind == "stdio":
        return device._replace(signals=on_off(values, "signal", True, fail))
    if kind == "socket":
        return device._replace(address=_socket(values, fail))
    if kind == "udp":
        return _udp(device, values, fail)
    if kind in ("file", "pipe"):
        if not values.get("path"):
            raise fail(f"chardev: {kind}: no {'filename' if kind == 'file' else 'device path'} given")
        append = on_off(values, "append", False, fail)
        return device._replace(path=values["path"], input_path=values.get("input-path"), append=append)
    if kind == "ringbuf" and "size" in values:
        bytes_ = size(values["size"], "size", 1, fail)
        if bytes_ <= 0 or bytes_ & (bytes_ - 1):
            raise fail("size of ringbuf chardev must be power of two")
        return device._replace(size=bytes_)
    return device


def _udp(device: Chardev, values: dict[str, str], fail: _Fail) -> Chardev:
    host, port = values.get("host") or "localhost", values.get("port", "")
    if not port:
        raise fail("chardev: udp: remote port not specified")
    if not port.isdecimal():
        raise fail(f"address resolution failed for {host}:{port}: Servname not supported for ai_socktype")
    here, own = values.get("localaddr", ""), values.get("localport") or "0"
    if not own.isdecimal():
        raise fail(f"address resolution failed for {here}:{own}: Servname not supported for ai_socktype")
    return device._replace(remote=(host, int(port) & 0xFFFF), local=(here, int(own) & 0xFFFF))


def _socket(values: dict[str, str], fail: _Fail) -> SocketAddress:
    server = on_off(values, "server", False, fail)
    if on_off(values, "tn3270", False, fail):
        raise fail("qshim does not speak tn3270")
    websocket = on_off(values, "websocket", False, fail)
    if websocket and not server:
        raise fail("Websocket client is not implemented")
    credentials = values.get("tls-creds")
    if values.get("tls-authz"):
        raise fail(
            "'tls_authz' option requires 'tls_creds' option" if credentials is None
            else "qshim does not look at who a TLS client is (tls-authz)"
        )  # fmt: skip
    wait = on_off(values, "wait", server, fail)
    if "wait" in values and not server:
        raise fail("'wait' option is incompatible with socket in client connect mode")
    again = "reconnect-ms" if "reconnect-ms" in values else "reconnect"
    number = values.get(again, "0")
    if not number.isdecimal():
        raise fail(f"Parameter '{again}' expects a number")
    reconnect = int(number) / (1000 if again == "reconnect-ms" else 1)
    if reconnect and server:
        raise fail(f"'{again}' option is incompatible with socket in server listen mode")
    base = SocketAddress(server=server, wait=wait, telnet=on_off(values, "telnet", False, fail),
                         websocket=websocket, credentials=credentials, reconnect=reconnect)  # fmt: skip
    if "path" in values:
        path = values["path"]
        if len(path.encode()) >= _MAX_PATH:
            raise fail(f"UNIX socket path '{path}' is too long\nPath must be less than {_MAX_PATH} bytes")
        abstract, tight = on_off(values, "abstract", False, fail), on_off(values, "tight", True, fail)
        return base._replace(path=path, abstract=abstract, tight=tight)
    if "host" in values:
        port = values.get("port", "")
        if not port.isdecimal():
            raise fail("chardev: socket: no port given" if not port else f"address resolution failed for port {port}")
        # QEMU drops what does not fit in 16 bits
        return base._replace(host=values["host"], port=int(port) & 0xFFFF)
    fd = values.get("fd", "")
    if not fd.isdecimal():
        raise fail(f"Unable to parse FD number {fd}")
    return base._replace(fd=int(fd))
