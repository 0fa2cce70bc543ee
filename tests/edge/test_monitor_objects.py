"""Monitors that are made and removed while a machine runs (11.1): one script for our drop-in and for a real QEMU."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.oracle import needs

OURS = [sys.executable, "-c", "import sys; from qshim.cli.system import x86_64; sys.exit(x86_64())"]
NONE = ("-M", "none", "-S", "-nodefaults", "-display", "none")
QUIET_SECONDS = 0.4
"""Whoever says nothing for so long has nothing to say."""
SECONDS = 30


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

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        self.folder = folder
        self.said: list[tuple[str, str]] = []
        self.clients: list[Client] = []
        self._process = subprocess.Popen(
            [*command, *NONE, "-qmp", f"unix:{folder}/main,server=on,wait=off"],
            stdin=subprocess.DEVNULL, env={**os.environ, "QSHIM_QEMU_VERSION": "11.1"},
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


def with_clients(talk: Talk) -> None:
    """Clients that were there before the monitor, whose monitor goes, and who remove each other's."""
    talk.socket("a")
    early = talk.join("a")
    early.send('{"execute": "qmp_capabilities"}\n')
    talk.silent("nobody is there", early)
    talk.ask("query-chardev")
    talk.ask("object-add", qom_type="monitor-qmp", id="first", chardev="a")
    talk.hear("greeting of who waits", early)
    talk.hear("and its request is read", early)
    talk.ask("query-status", early)
    talk.ask("stop")
    talk.ask("object-del", id="first")
    early.send("\x15")
    talk.silent("monitor removed", early)
    talk.ask("query-chardev")
    talk.ask("object-add", qom_type="monitor-hmp", id="human", chardev="a")
    talk.hear("banner", early, "(qemu) ")
    early.send("info name\n")
    talk.hear("the line", early, "\r\n(qemu) ")
    talk.ask("object-del", id="human")
    talk.ask("chardev-remove", id="a")

    talk.socket("b")
    talk.ask("object-add", qom_type="monitor-qmp", id="brief", chardev="b", close_action="delete", pretty=True)
    client = talk.join("b")
    talk.hear("pretty greeting", client, "\r\n}\r\n")
    client.close()
    time.sleep(QUIET_SECONDS)
    talk.ask("query-chardev")
    talk.ask("qom-list", path="/objects")

    talk.socket("c")
    talk.ask("object-add", qom_type="monitor-qmp", id="other", chardev="c")
    other = talk.join("c")
    talk.hear("greeting", other)
    talk.ask("qmp_capabilities", other)
    talk.ask("object-del", other, id="other")
    talk.ask("object-del", other, id="compat_monitor0")
    talk.main.send('{"execute": "query-status"}\n')
    talk.silent("monitor removed by another", talk.main)
    talk.ask("query-chardev", other)
    talk.ask("chardev-remove", other, id="compat_monitor0")
    other.send('{"execute": "quit"}\n')
    talk.hear("end", other, '"host-qmp-quit"}}\r\n')


def with_commands(talk: Talk) -> None:
    """What is refused, and properties."""
    talk.socket("s")
    talk.ask("chardev-add", id="n", backend={"type": "null", "data": {}})
    talk.ask("chardev-add", id="r", backend={"type": "ringbuf", "data": {"size": 1024}})
    made: dict[str, Any] = {"qom_type": "monitor-qmp", "id": "m", "chardev": "s"}
    wrongs: list[dict[str, Any]] = [
        {"id": "1m"}, {"chardev": "nope"}, {"bogus": 1}, {"readline": True}, {"close_action": "x"},
    ]  # fmt: skip
    for wrong in wrongs:
        talk.ask("object-add", **{**made, **wrong})
    talk.ask("object-add", qom_type="monitor-qmp", id="m")
    talk.ask("object-add", **made)
    talk.ask("object-add", **made)
    talk.ask("object-add", **{**made, "id": "m2"})
    talk.ask("object-add", **{**made, "id": "m3", "chardev": "compat_monitor0"})
    talk.ask("object-add", **{**made, "id": "ring", "chardev": "r", "pretty": True})
    talk.ask("ringbuf-read", device="r", size=20)
    talk.ask("object-add", qom_type="monitor-hmp", id="h", chardev="n", readline=False)
    for path in ("/objects", "/objects/m", "/objects/h", "/objects/compat_monitor0"):
        talk.ask("qom-list", path=path)
    talk.ask("qom-list-get", paths=["/objects/m", "/objects/h"])
    for name, value in (("pretty", True), ("pretty", 1), ("chardev", "n"), ("chardev", 1), ("close-action", "delete"),
                        ("close-action", "x"), ("close-action", 0), ("type", "x"), ("nope", 1)):  # fmt: skip
        talk.ask("qom-set", path="/objects/m", property=name, value=value)
        talk.ask("qom-get", path="/objects/m", property=name)
    for name in ("s", "n"):
        talk.ask("chardev-remove", id=name)
        talk.ask("chardev-change", id=name, backend={"type": "null", "data": {}})
    for name in ("h", "m", "m", "compat_monitor0"):
        talk.ask("object-del", id=name)
    talk.ask("query-chardev")
    for line in ("object_add monitor-qmp,id=k,chardev=s", "object_add monitor-hmp,id=k2,chardev=s,readline=maybe",
                 "object_del k", "object_del h", "object_del compat_monitor0", "info qom-tree /objects"):  # fmt: skip
        talk.ask("human-monitor-command", command_line=line)


@pytest.mark.parametrize("script", [with_clients, with_commands])
def test_as_real_qemu(script: Any, tmp_path: Path) -> None:
    binary = needs("11.1", "x86_64")
    said = []
    for name, command in (("real", [binary]), ("ours", OURS)):
        (tmp_path / name).mkdir()
        talk = Talk(command, tmp_path / name)
        try:
            script(talk)
        finally:
            said.append(talk.end())
    assert said[1] == said[0]


LINES = [
    "-chardev null,id=a -mon chardev=a,mode=control", "-chardev null,id=a -mon chardev=a,id=foo",
    "-chardev null,id=a -object monitor-qmp,id=m,chardev=a", "-object monitor-qmp,id=m,chardev=a -chardev null,id=a",
    "-chardev null,id=a -object monitor-hmp,id=m,chardev=a,readline=off", "-object monitor-qmp,id=m,chardev=a",
    "-object monitor-qmp,id=m", "-object monitor-qmp,id=m,chardev=a,pretty=maybe",
    "-chardev null,id=a -monitor chardev:a",
    "-object monitor-qmp,id=m,chardev=a,readline=on", "-object monitor-hmp,id=m,chardev=a,close-action=none",
    "-chardev null,id=a -object monitor-qmp,id=m,chardev=a -object monitor-hmp,id=n,chardev=a",
    "-chardev null,id=a,mux=on -object monitor-hmp,id=m,chardev=a -object monitor-hmp,id=n,chardev=a",
    "-chardev null,id=a -object monitor-qmp,id=z,chardev=a -mon chardev=a", "-serial mon:null",
    "-chardev null,id=a -chardev null,id=b -qmp null -mon a -mon b -monitor null",
    "-chardev null,id=a -chardev null,id=b -mon a,id=compat_monitor1 -mon b",
    "-chardev null,id=a -object monitor-qmp,id=m,chardev=a -object iothread,id=m",
    "-chardev null,id=a -object monitor-qmp,id=m,chardev=a,close-action=delete", "-object monitor-qmp,help",
    "-chardev null,id=a -mon a,mode=control,pretty=on", "-M none -object monitor-qmp,id=m,chardev=a,close-action=x",
]  # fmt: skip


@pytest.mark.parametrize("line", LINES)
def test_command_lines(line: str) -> None:
    binary = needs("11.1", "x86_64")
    questions = [
        {"execute": "qmp_capabilities"},
        {"execute": "human-monitor-command", "arguments": {"command-line": "info qom-tree /objects"}},
        {"execute": "query-chardev"},
        {"execute": "qom-list-get", "arguments": {"paths": ["/objects/m"]}},
        {"execute": "quit"},
    ]
    text = "".join(json.dumps(question) + "\n" for question in questions)
    outcomes = []
    for command in ([binary], OURS):
        done = subprocess.run(
            [*command, *NONE, *line.split(), "-qmp", "stdio"], input=text, capture_output=True, text=True,
            timeout=SECONDS, check=False, env={**os.environ, "QSHIM_QEMU_VERSION": "11.1"},
        )  # fmt: skip
        replies = [reply for reply in done.stdout.splitlines() if '"QMP"' not in reply and '"event"' not in reply]
        errors = [error.partition(": ")[2] for error in done.stderr.splitlines()]
        outcomes.append((done.returncode, replies, errors))
    assert outcomes[1] == outcomes[0]
