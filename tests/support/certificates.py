"""Certificates for tests of TLS, made with the program openssl."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

__all__ = ["make_certificates"]

_SECONDS = 60


def make_certificates(folder: Path) -> Path:
    """An authority, a server's and a client's certificate in the new *folder*, as QEMU names the files; the folder."""
    folder.mkdir()

    def openssl(*words: str) -> None:
        done = subprocess.run(["openssl", *words], cwd=folder, capture_output=True, text=True, timeout=_SECONDS)
        assert done.returncode == 0, done.stderr

    try:
        subprocess.run(["openssl", "version"], capture_output=True, timeout=_SECONDS, check=True)
    except OSError:
        pytest.skip("no openssl is installed, so there are no certificates to try TLS with")
    new = ("req", "-newkey", "rsa:2048", "-nodes", "-subj")
    openssl(*new, "/CN=authority", "-x509", "-days", "9999", "-keyout", "ca-key.pem", "-out", "ca-cert.pem",
            "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign")  # fmt: skip
    for name in ("server", "client"):
        (folder / f"{name}.cnf").write_text(
            f"basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature,keyEncipherment\n"
            f"extendedKeyUsage={name}Auth\nsubjectAltName=IP:127.0.0.1,DNS:localhost\n"
        )
        openssl(*new, "/CN=localhost", "-keyout", f"{name}-key.pem", "-out", f"{name}.csr")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca-cert.pem", "-CAkey", "ca-key.pem", "-CAcreateserial",
                "-days", "9999", "-extfile", f"{name}.cnf", "-out", f"{name}-cert.pem")  # fmt: skip
    return folder
