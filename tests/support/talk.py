"""One script of several clients for a real QEMU and for our drop-in, and what each of them heard."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

__all__ = ["NONE", "OURS", "QUIET_SECONDS", "SECONDS", "Client", "Talk", "both"]

OURS = [sys.executable, "-c", "import sys; from qshim.cli.system import x86_64; sys.exit(x86_64())"]
NONE = ("-M", "none", "-S", "-nodefaults", "-display", "none")
QUIET_SECONDS = 0.4
"""Whoever says nothing for so long has nothing to say."""
SECONDS = 30

Said = list[tuple[str, str]]


class Client:
    """A connection to a unix socket, as soon as somebody listens."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._heard = b""
        until = time.monotonic() + SECONDS
        while True:
            try:
                self._socket.connect(str(path))
                return
            except OSError:
                assert time.monotonic() < until, path
                time.sleep(0.01)

    def send(self, text: str) -> None:
        self._socket.sendall(text.encode())

    def hears(self, end: str) -> str:
        """What comes, up to *end*."""
        self._socket.settimeout(SECONDS)
        while end.encode() not in self._heard:
            data = self._socket.recv(1 << 16)
            assert data, self._heard
            self._heard += data
        text, found, self._heard = self._heard.partition(end.encode())
        return (text + found).decode()

    def hears_nothing(self) -> bool:
        self._socket.settimeout(QUIET_SECONDS)
        try:
            self._heard += self._socket.recv(1 << 16)
        except TimeoutError:
            return not self._heard
        return False

    def close(self) -> None:
        self._socket.close()


class Talk:
    """A machine with a monitor, what is said there, and other clients."""

    def __init__(self, command: Sequence[str], label: str, folder: Path) -> None:
        self.folder = folder
        self.said: list[tuple[str, str]] = []
        self.clients: list[Client] = []
        self._process = subprocess.Popen(
            [*command, *NONE, "-qmp", f"unix:{folder}/main,server=on,wait=off"],
            stdin=subprocess.DEVNULL, env={**os.environ, "QSHIM_QEMU_VERSION": label},
        )  # fmt: skip
        self.main = self.join("main")
        self.hear("greeting", self.main)
        self.ask("qmp_capabilities")

    def join(self, name: str) -> Client:
        self.clients.append(Client(self.folder / name))
        return self.clients[-1]

    def hear(self, what: str, client: Client, end: str = "\r\n") -> None:
        text = client.hears(end).replace(str(self.folder), "FOLDER")
        text = re.sub(r'"package": "[^"]*"', '"package": ""', text)
        self.said.append((what, re.sub(r'"timestamp": \{[^}]*\}', '"timestamp": {}', text)))

    def silent(self, what: str, client: Client) -> None:
        self.said.append((what, "nothing" if client.hears_nothing() else "something"))

    def ask(self, command: str, client: Client | None = None, **arguments: Any) -> None:
        request = {"execute": command, "arguments": {name.replace("_", "-"): a for name, a in arguments.items()}}
        (client or self.main).send(json.dumps(request) + "\n")
        self.hear(f"{command} {arguments}", client or self.main)

    def socket(self, name: str) -> None:
        where = {"type": "unix", "data": {"path": str(self.folder / name)}}
        backend = {"type": "socket", "data": {"addr": where, "server": True, "wait": False}}
        self.ask("chardev-add", id=name, backend=backend)

    def end(self) -> list[tuple[str, str]]:
        for client in self.clients:
            client.close()
        self._process.kill()
        self._process.wait()
        return [(what.replace(str(self.folder), "FOLDER"), text) for what, text in self.said]


def both(binary: str, label: str, folder: Path, script: Callable[[Talk], None]) -> tuple[Said, Said]:
    """What was heard when *script* was carried out with the QEMU *binary*, and with our drop-in."""
    said = []
    for name, command in (("real", [binary]), ("ours", OURS)):
        (folder / name).mkdir()
        talk = Talk(command, label, folder / name)
        try:
            script(talk)
        finally:
            said.append(talk.end())
    return said[0], said[1]
