"""Monitors behind WebSocket, TLS and UDP: a scripted client at a drop-in, and at a real QEMU where there is one."""

from __future__ import annotations

import json
import os
import re
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from qshim.versions import KNOWN
from tests.monitor.test_websocket import frame, request
from tests.support.certificates import make_certificates
from tests.support.oracle import needs

SECONDS = 30.0
CODE = "import sys; from qshim.cli.system import x86_64; sys.exit(x86_64())"


@contextmanager
def running(command: Sequence[str], label: str, words: Sequence[str], folder: Path) -> Iterator[str]:
    """*command* with *words* and a QMP monitor that tells what query-chardev says of the device `c`."""
    path = folder / f"q{len(list(folder.iterdir()))}"
    common = ["-nodefaults", "-display", "none", "-S", "-M", "none", "-qmp", f"unix:{path},server=on,wait=off"]
    process = subprocess.Popen(
        [*command, *common, *words], env={**os.environ, "QSHIM_QEMU_VERSION": label}, stderr=subprocess.PIPE, text=True
    )
    try:
        yield _filename(path, process)
    finally:
        process.kill()
        process.communicate()


def _filename(path: Path, process: subprocess.Popen[str]) -> str:
    until = time.monotonic() + SECONDS
    with socket.socket(socket.AF_UNIX) as monitor:
        while True:
            try:
                monitor.connect(str(path))
                break
            except OSError:
                assert process.poll() is None, process.communicate()[1]
                assert time.monotonic() < until
                time.sleep(0.02)
        stream = monitor.makefile("rw")
        stream.write('{"execute": "qmp_capabilities"}{"execute": "query-chardev"}\n')
        stream.flush()
        told = [json.loads(stream.readline()) for _ in range(3)][2]["return"]
        return str(next(each["filename"] for each in told if each["label"] == "c"))


def both(label: str) -> list[list[str]]:
    """The commands of a drop-in and of a real QEMU."""
    return [[sys.executable, "-c", CODE], [needs(label, "x86_64")]]


def said(peer: socket.socket, until: bytes) -> bytes:
    """What comes, up to *until* or the end of the connection; frames and redraws of the line are taken apart."""
    peer.settimeout(SECONDS)
    data = b""
    while until not in data:
        try:
            chunk = peer.recv(65536)
        except ConnectionResetError:
            break
        if not chunk:
            break
        data += chunk
    data = re.sub(rb"Date: [^\r]*", b"Date: X", data)
    return re.sub(rb"QEMU [\d.]+ monitor", b"QEMU monitor", data)


@pytest.mark.parametrize("label", KNOWN)
def test_websocket_as_qemu(label: str, tmp_path: Path) -> None:
    answers = []
    for command in both(label):
        words = ("-chardev", "socket,id=c,host=127.0.0.1,port=0,server=on,wait=off,websocket=on", "-mon", "c")
        with running(command, label, words, tmp_path) as name:
            kind, host, port = name.removeprefix("disconnected:").removesuffix(",server=on").split(":")
            heard: list[bytes] = [kind.encode()]
            for sent, until in (
                (request("GET /x HTTP/1.1"), b"\0"),
                (request(without="Host"), b"\0"),
                (request(), b"(qemu) "),
                (request() + b"", b"(qemu) "),
            ):
                with socket.create_connection((host, int(port)), SECONDS) as peer:
                    peer.sendall(sent)
                    heard.append(said(peer, until))
                    if b"101" in heard[-1]:
                        for more, end in ((frame(b"hi", 9), b"hi"), (frame(b"x", 1), b"supported"), (b"", b"\0")):
                            if more:
                                peer.sendall(more)
                            heard.append(said(peer, end))
            answers.append(heard)
    ours, told = answers
    # QEMU puts banner and prompt into frames of their own
    plain = [[re.sub(rb"\x82.(?=QEMU|\()", b"", each) for each in side] for side in (ours, told)]
    assert plain[0] == plain[1]


def test_qmp_over_websocket(tmp_path: Path) -> None:
    words = ("-chardev", "socket,id=c,host=127.0.0.1,port=0,server=on,wait=off,websocket=on", "-mon", "c,mode=control")
    with running([sys.executable, "-c", CODE], "10.0", words, tmp_path) as name:
        _, host, port = name.removeprefix("disconnected:").removesuffix(",server=on").split(":")
        with socket.create_connection((host, int(port)), SECONDS) as peer:
            # a command right behind the request is not lost
            peer.sendall(request() + frame(b'{"execute": "qmp_capabilities"}'))
            assert said(peer, b'{"return": {}}').endswith(b'\x82\x10{"return": {}}\r\n')


@pytest.mark.parametrize("label", KNOWN)
def test_udp_as_qemu(label: str, tmp_path: Path) -> None:
    for command in both(label):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer, socket.socket(
            socket.AF_INET, socket.SOCK_DGRAM
        ) as free:
            peer.bind(("127.0.0.1", 0))
            peer.settimeout(SECONDS)
            free.bind(("127.0.0.1", 0))
            own = free.getsockname()[1]
            free.close()
            port = peer.getsockname()[1]
            device = f"udp,id=c,host=127.0.0.1,port={port},localaddr=127.0.0.1,localport={own}"
            words = ("-chardev", device, "-mon", "c")
            with running(command, label, words, tmp_path) as name:
                assert name == "udp"
                peer.sendto(b"info status\r", ("127.0.0.1", own))
                data = b""
                while b"prelaunch)\r\n" not in data:
                    data += peer.recv(65536)
                # before 11.1 no banner before it: the device never opens
                assert data.startswith(b"QEMU" if label == "11.1" else b"i\x1b[K")
                assert b"info status\x1b[K\r\nVM status: paused (prelaunch)\r\n" in data


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """An authority, a server's and a client's certificate, as QEMU names the files."""
    return make_certificates(tmp_path / "pki")


def refused(context: ssl.SSLContext, host: str, port: int) -> bool:
    """Whether the handshake fails, or what follows it: TLS 1.3 looks at a client's certificate last."""
    with socket.create_connection((host, port), SECONDS) as plain:
        try:
            with context.wrap_socket(plain, server_hostname="localhost") as peer:
                peer.settimeout(SECONDS)
                return peer.recv(1) == b""
        except OSError:
            return True


@pytest.mark.parametrize("extra", ["", ",websocket=on"], ids=["tls", "wss"])
# a real 7.2 does not always read what comes right behind the handshake
@pytest.mark.parametrize("label", ["10.0", "11.1"])
def test_tls_as_qemu(label: str, extra: str, certificates: Path, tmp_path: Path) -> None:
    context = ssl.create_default_context(cafile=str(certificates / "ca-cert.pem"))
    context.load_cert_chain(certificates / "client-cert.pem", certificates / "client-key.pem")
    for command in both(label):
        words = (
            "-object", f"tls-creds-x509,id=t,endpoint=server,dir={certificates}",
            "-chardev", f"socket,id=c,host=127.0.0.1,port=0,server=on,wait=off,tls-creds=t{extra}", "-mon", "c",
        )  # fmt: skip
        with running(command, label, words, tmp_path) as name:
            _, host, port = name.removeprefix("disconnected:").removesuffix(",server=on").split(":")
            with (
                socket.create_connection((host, int(port)), SECONDS) as plain,
                context.wrap_socket(plain, server_hostname="localhost") as peer,
            ):
                if extra:
                    peer.sendall(request())
                assert b"(qemu) " in said(peer, b"(qemu) ")
                peer.sendall(frame(b"info status\r") if extra else b"info status\r")
                assert b"VM status: paused (prelaunch)" in said(peer, b"prelaunch)\r\n")
            # without a certificate there is no monitor; the next client finds one
            bare = ssl.create_default_context(cafile=str(certificates / "ca-cert.pem"))
            assert refused(bare, host, int(port))
            with (
                socket.create_connection((host, int(port)), SECONDS) as plain,
                context.wrap_socket(plain, server_hostname="localhost") as peer,
            ):
                if extra:
                    peer.sendall(request())
                assert b"(qemu) " in said(peer, b"(qemu) ")


@pytest.mark.parametrize("verify", ["on", "off"])
# a real 7.2 does not always read what comes right behind the handshake
@pytest.mark.parametrize("label", ["10.0", "11.1"])
def test_tls_clients_as_qemu(label: str, verify: str, certificates: Path, tmp_path: Path) -> None:
    """A monitor that connects: to a server that it trusts, to another one, and to one that wants no stranger."""
    stranger = make_certificates(tmp_path / "others")
    for command in both(label):
        heard = []
        for place, wants in ((certificates, True), (stranger, False)):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(place / "server-cert.pem", place / "server-key.pem")
            context.load_verify_locations(place / "ca-cert.pem")
            context.verify_mode = ssl.CERT_REQUIRED if wants else ssl.CERT_NONE
            with socket.create_server(("127.0.0.1", 0)) as server:
                server.settimeout(SECONDS)
                words = (
                    "-object", f"tls-creds-x509,id=t,endpoint=client,dir={certificates},verify-peer={verify}",
                    "-chardev", f"socket,id=c,host=127.0.0.1,port={server.getsockname()[1]},tls-creds=t", "-mon", "c",
                )  # fmt: skip
                with running(command, label, words, tmp_path):
                    plain, _ = server.accept()
                    plain.settimeout(SECONDS)
                    with plain:
                        try:
                            with context.wrap_socket(plain, server_side=True) as peer:
                                greeting = said(peer, b"(qemu) ")
                                peer.sendall(b"info status\r")
                                answer = said(peer, b"prelaunch)\r\n")
                                heard.append((b"monitor - type" in greeting, b"VM status: paused" in answer))
                        except OSError:
                            heard.append((False, False))
        assert heard == [(True, True), (verify == "off", verify == "off")], command


@pytest.mark.parametrize("label", KNOWN)
@pytest.mark.parametrize(
    "words",
    [
        "-object tls-creds-anon,id=t0,endpoint=server -chardev socket,id=c,host=127.0.0.1,port=1,tls-creds=t0",
        "-chardev socket,id=c,host=127.0.0.1,port=1,tls-creds=t0",
        "-chardev udp,id=c",
        "-chardev udp,id=c,host=1.2.3.4,port=x",
        "-chardev udp,id=c,port=5555,foo=1",
        "-chardev socket,id=c,host=127.0.0.1,port=0,websocket=on",
        "-chardev socket,id=c,host=127.0.0.1,port=0,server=on,wait=off,tls-creds=t0",
        "-object tls-creds-anon,id=t0,endpoint=client "
        "-chardev socket,id=c,host=127.0.0.1,port=0,server=on,wait=off,tls-creds=t0",
        "-object secret,id=t0,data=x -chardev socket,id=c,host=127.0.0.1,port=0,server=on,wait=off,tls-creds=t0",
        "-chardev socket,id=c,host=127.0.0.1,port=0,server=on,wait=off,tls-authz=t0",
    ],
)
def test_refusals_are_qemus(label: str, words: str) -> None:
    texts = []
    for command in both(label):
        done = subprocess.run(
            [*command, "-nodefaults", "-display", "none", "-S", "-M", "none", *words.split()],
            env={**os.environ, "QSHIM_QEMU_VERSION": label}, capture_output=True, text=True, timeout=SECONDS,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        texts.append((done.returncode, done.stderr.partition(": ")[2]))
    assert texts[0] == texts[1]
