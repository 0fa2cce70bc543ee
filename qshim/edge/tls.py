"""TLS on character devices with X.509 certificates (`-object tls-creds-x509`), as server and as client."""

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

__all__ = ["TlsError", "tls_layer"]

_OFF = ("off", "no", "false", "n", False)


class TlsError(QshimError):
    """Credentials that cannot be used."""


def tls_layer(name: str, objects: Mapping[str, ObjectPlan], *, server: bool, host: str = "") -> Callable[[], Layer]:
    """What makes a layer for each connection, with the credentials *name* of *objects*.

    *server*: which side we are; a client expects the certificate of *host*.

    :raises TlsError: they are none, or not for this side, or cannot be read.
    """
    found = objects.get(name)
    if found is None:
        raise TlsError(f"No TLS credentials with id '{name}'")
    if not found.kind.startswith("tls-creds-"):
        raise TlsError(f"Object with id '{name}' is not TLS credentials")
    side = "server" if server else "client"
    if found.values.get("endpoint", "client") != side:
        raise TlsError(f"Expected TLS credentials for a {side} endpoint")
    if found.kind != "tls-creds-x509":
        raise TlsError(f"qshim speaks TLS with certificates (tls-creds-x509), not with {found.kind}")
    verify = found.values.get("verify-peer", True) not in _OFF
    if verify and not server and not host:
        raise TlsError("No hostname for certificate validation")
    context = _context(str(found.values.get("dir", "")), side, verify)
    return lambda: _Tls(context, None if server else host)


def _context(folder: str, side: str, verify: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if side == "server" else ssl.PROTOCOL_TLS_CLIENT)
    certificate, key = (os.path.join(folder, f"{side}-{part}.pem") for part in ("cert", "key"))
    try:
        context.load_verify_locations(os.path.join(folder, "ca-cert.pem"))
        # a client may have none
        if side == "server" or os.path.exists(certificate):
            context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise TlsError(f"Unable to use the certificates in {folder}: {error}") from error
    if not verify:
        context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED if verify else ssl.CERT_NONE
    return context


class _Tls:
    """One connection."""

    def __init__(self, context: ssl.SSLContext, host: str | None) -> None:
        """*host*: whom a client calls; None: we are the server."""
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=host is None, server_hostname=host or None)
        self._speaks_first = host is not None
        self.opened = False

    def hello(self) -> bytes:
        """What is said before anything has come."""
        return self.receive(b"").reply if self._speaks_first else b""

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
