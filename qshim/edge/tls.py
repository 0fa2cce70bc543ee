"""TLS on character devices: the server's side with X.509 certificates (`-object tls-creds-x509`)."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from qshim.edge.layers import Layer
from qshim.errors import QshimError
from qshim.monitor.websocket import Step

if TYPE_CHECKING:
    from qshim.argv.plan import ObjectPlan

__all__ = ["TlsError", "server_layer"]

_OFF = ("off", "no", "false", "n", False)


class TlsError(QshimError):
    """Credentials that cannot be used."""


def server_layer(name: str, objects: Mapping[str, ObjectPlan]) -> Callable[[], Layer]:
    """What makes a layer for each connection, with the credentials *name* of *objects*.

    :raises TlsError: they are none, or not for a server, or cannot be read.
    """
    found = objects.get(name)
    if found is None:
        raise TlsError(f"No TLS credentials with id '{name}'")
    if not found.kind.startswith("tls-creds-"):
        raise TlsError(f"Object with id '{name}' is not TLS credentials")
    if found.values.get("endpoint") != "server":
        raise TlsError("Expected TLS credentials for a server endpoint")
    if found.kind != "tls-creds-x509":
        raise TlsError(f"qshim speaks TLS with certificates (tls-creds-x509), not with {found.kind}")
    context = _context(str(found.values.get("dir", "")), found.values.get("verify-peer", True) not in _OFF)
    return lambda: _Server(context)


def _context(folder: str, verify: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(os.path.join(folder, "server-cert.pem"), os.path.join(folder, "server-key.pem"))
        context.load_verify_locations(os.path.join(folder, "ca-cert.pem"))
    except (OSError, ssl.SSLError) as error:
        raise TlsError(f"Unable to use the certificates in {folder}: {error}") from error
    if verify:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


class _Server:
    """One connection."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=True)
        self.opened = False

    def receive(self, data: bytes) -> Step:
        """Take input."""
        self._in.write(data)
        plain = bytearray()
        try:
            if not self.opened:
                self._tls.do_handshake()
                self.opened = True
            while chunk := self._tls.read(1 << 16):
                plain += chunk
            ended = True
        except ssl.SSLWantReadError:
            ended = False
        except ssl.SSLError:
            ended = True
        return Step(bytes(plain), self._out.read(), ended)

    def wrap(self, data: bytes) -> bytes:
        """*data*, encrypted."""
        self._tls.write(data)
        return self._out.read()
