"""The short descriptions of character devices that -qmp takes: `unix:PATH,...` and `tcp:HOST:PORT,...`."""

from __future__ import annotations

from typing import NamedTuple

from qshim.argv.opts import on_off, split
from qshim.errors import UsageError

__all__ = ["SocketAddress", "parse_socket"]

_MAX_PATH = 108


class SocketAddress(NamedTuple):
    """A listening socket: *path* for unix, *host* and *port* for TCP (port 0: any free one)."""

    path: str | None = None
    host: str = ""
    port: int = 0
    wait: bool = True
    """Start-up waits for the first client (QEMU's default)."""

    def __str__(self) -> str:
        return f"unix:{self.path}" if self.path is not None else f"tcp:{self.host}:{self.port}"


def parse_socket(option: str, text: str) -> SocketAddress:
    """The listening socket that *text* describes; *option* stands in error texts.

    :raises UsageError: another kind of device, a bad member, or a socket that does not listen.
    """
    (device, value), *members = split(text)
    if value is not None:
        device = f"{device}={value}"
    kind, _, where = device.partition(":")
    if kind not in ("unix", "tcp") or not where:
        raise UsageError(f"{option} {text}: qshim serves unix:PATH and tcp:HOST:PORT with server=on, not '{device}'")
    known = {"server": False, "wait": True}
    for key, member in members:
        name, setting = on_off(f"{option} {text}", key, member)
        if name not in known:
            raise UsageError(f"{option} {text}: Invalid parameter '{key}'")
        known[name] = setting
    if not known["server"]:
        raise UsageError(f"{option} {text}: qshim listens and does not connect; add server=on,wait=off")
    if kind == "unix":
        if len(where.encode()) >= _MAX_PATH:
            raise UsageError(
                f"{option}: UNIX socket path '{where}' is too long; it must be less than {_MAX_PATH} bytes"
            )
        return SocketAddress(path=where, wait=known["wait"])
    host, _, port = where.rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        raise UsageError(f"{option} {text}: '{port}' is not a port from 0 to 65535")
    return SocketAddress(host=host.strip("[]") or "0.0.0.0", port=int(port), wait=known["wait"])
