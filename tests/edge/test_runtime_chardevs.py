"""Character devices made, changed and removed while a machine is served."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from qshim.argv import OptionError
from qshim.edge.files import HostFiles
from qshim.monitor.hmp.line import run
from qshim.monitor.qmp.session import QmpSession
from qshim.versions import KNOWN
from qshim.vm import Vm
from tests.edge.test_chardevs import serving
from tests.edge.test_server import machine
from tests.support.mosquitto import free_port
from tests.support.oracle import needs
from tests.support.talk import QUIET_SECONDS, Talk, both

Step = tuple[str, dict[str, Any]] | str


def asked(vm: Vm, *steps: Step) -> list[Any]:
    """What QMP commands return or fail with, and what lines print."""
    sent: list[bytes] = []
    session = QmpSession(vm, sent.append)
    session.receive(b'{"execute":"qmp_capabilities"}')
    sent.clear()
    for step in steps:
        if isinstance(step, str):
            sent.append(json.dumps({"return": run(vm, step)}).encode())
        else:
            session.receive(json.dumps({"execute": step[0], "arguments": step[1]}).encode())
    session.stop()
    replies = [json.loads(line) for line in sent]
    return [reply["return"] if "return" in reply else reply["error"]["desc"] for reply in replies]


def added(name: str, kind: str, **data: object) -> Step:
    return "chardev-add", {"id": name, "backend": {"type": kind, "data": data}}


def steps(folder: Path) -> list[Step]:
    unix = {"type": "unix", "data": {"path": str(folder / "s")}}
    nowhere = {"type": "unix", "data": {"path": str(folder / "nope" / "s")}}
    loopback = {"type": "inet", "data": {"host": "127.0.0.1", "port": "0"}}
    nul = {"type": "null", "data": {}}
    return [
        added("s", "socket", addr=unix),
        added("t", "socket", addr=loopback, telnet=True),
        added("u", "socket", addr=nowhere, server=False),
        added("p", "pipe", device=str(folder / "nopipe")),
        added("f", "file", out=str(folder / "out")),
        added("g", "file", out=str(folder / "nope" / "out")),
        added("y", "pty"),
        added("m", "mux", chardev="nope"),
        added("f", "null"),
        ("query-chardev", {}),
        ("chardev-change", {"id": "f", "backend": nul}),
        ("chardev-change", {"id": "nope", "backend": nul}),
        ("chardev-send-break", {"id": "nope"}),
        ("chardev-send-break", {"id": "f"}),
        ("query-chardev", {}),
        *(("chardev-remove", {"id": name}) for name in ("s", "t", "f", "y", "nope")),
        ("query-chardev", {}),
        "chardev-add ringbuf,id=r,size=3", "chardev-add ringbuf,id=r,size=16", "chardev-add null,id=r",
        "ringbuf_write r abcdefghijklmnopqrstuv", "ringbuf_read r 5", "ringbuf_read r 50", "ringbuf_read r 0",
        ("ringbuf-write", {"device": "r", "data": "a\\b\x01c\td\x7f\n\r"}), "ringbuf_read r 50", "ringbuf_read x 1",
        "ringbuf_write x y", "chardev-add nope,id=y", "chardev-add null", "chardev-add id=x", "chardev-add null,id=1",
        "chardev-add null,id=q,foo=1", "chardev-add file,id=q", "chardev-add pty,id=q", "chardev-change r null",
        "ringbuf_read r 1", "chardev-change x null", "chardev-remove x", "chardev-remove r", "chardev-send-break q",
    ]  # fmt: skip


def masked(replies: list[Any], folder: Path) -> list[Any]:
    """Without numbers of terminals and ports, and the devices that were there before."""
    text = json.dumps(replies).replace(str(folder), "DIR")
    text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", re.sub(r"/dev/pts/\d+", "/dev/pts/N", text))
    return [
        sorted((each for each in reply if each["label"] != "compat_monitor0"), key=lambda each: str(each["label"]))
        if isinstance(reply, list) else reply
        for reply in json.loads(text)
    ]  # fmt: skip


@pytest.mark.parametrize("label", ["7.2", "11.1"])
async def test_as_real_qemu(label: str, tmp_path: Path) -> None:
    for name in ("real", "ours"):
        (tmp_path / name).mkdir()
    command = [needs(label, "x86_64"), "-M", "none", "-nodefaults", "-display", "none", "-qmp", "stdio"]
    lines = [
        {"execute": "human-monitor-command", "arguments": {"command-line": step}} if isinstance(step, str)
        else {"execute": step[0], "arguments": step[1]}
        for step in steps(tmp_path / "real")
    ]  # fmt: skip
    text = "\n".join(map(json.dumps, [{"execute": "qmp_capabilities"}, *lines, {"execute": "quit"}]))
    done = await asyncio.to_thread(
        lambda: subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=True)
    )
    replies = [reply for reply in map(json.loads, done.stdout.splitlines()) if "return" in reply or "error" in reply]
    real = [reply["return"] if "return" in reply else reply["error"]["desc"] for reply in replies][1:-1]
    vm = machine()
    vm.quirks = KNOWN[label]
    vm.files = HostFiles(None)
    async with serving("-qmp", "null", vm=vm):
        ours = asked(vm, *steps(tmp_path / "ours"))
    theirs, ours = masked(real, tmp_path / "real"), masked(ours, tmp_path / "ours")
    asked_for = steps(tmp_path)
    assert len(ours) == len(theirs)
    assert [row for row in zip(asked_for, ours, theirs, strict=True) if row[1] != row[2]] == []


def sockets(talk: Talk) -> None:
    """Names of sockets that are connected to each other."""
    for number, where in enumerate([
        {"type": "unix", "data": {"path": str(talk.folder / "u")}},
        {"type": "unix", "data": {"path": f"{talk.folder}/a", "abstract": True}},
        {"type": "unix", "data": {"path": f"{talk.folder}/b", "abstract": True, "tight": False}},
        {"type": "inet", "data": {"host": "127.0.0.1", "port": str(free_port())}},
    ]):  # fmt: skip
        server = {"type": "socket", "data": {"addr": where, "server": True, "wait": False}}
        client = {"type": "socket", "data": {"addr": where, "server": False}}
        talk.ask("chardev-add", id=f"s{number}", backend=server)
        talk.ask("query-chardev")
        talk.ask("chardev-add", id=f"c{number}", backend=client)
        time.sleep(QUIET_SECONDS / 2)
        talk.ask("query-chardev")
    talk.ask("chardev-add", id="x", backend={"type": "socket", "data": {"addr": {
        "type": "unix", "data": {"path": f"{talk.folder}/nobody", "abstract": True}}, "server": False}})  # fmt: skip


@pytest.mark.parametrize("label", ["7.2", "10.0", "11.1"])
def test_names_of_connected_sockets(label: str, tmp_path: Path) -> None:
    theirs, ours = both(needs(label, "x86_64"), label, tmp_path, sockets)

    def plain(said: list[tuple[str, str]]) -> list[str]:
        names: dict[str, str] = {}
        # each port by the order in which it turned up
        text = "\n".join(reply for _, reply in said)
        return re.sub(r"1:(\d+)", lambda m: names.setdefault(m[1], f"1:PORT{len(names)}"), text).splitlines()

    assert plain(ours) == plain(theirs)


async def test_abstract_sockets_are_for_everybody(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="every user of this host could connect"):
        async with serving("-qmp", f"unix:{tmp_path}/a,abstract=on,server=on,wait=off"):
            pass


async def test_what_a_ring_buffer_keeps_of_a_monitor() -> None:
    async with serving("-chardev", "ringbuf,id=r,size=32", "-mon", "r") as server:
        kept = asked(server.vm, ("ringbuf-read", {"device": "r", "size": 99}))
        assert kept == ["p' for more information\r\n(qemu) "]


async def test_a_socket_that_came_later_is_removed_with_the_machine(tmp_path: Path) -> None:
    vm = machine()
    vm.files = HostFiles(None)
    path = tmp_path / "s"
    async with serving("-qmp", "null", vm=vm):
        asked(vm, added("s", "socket", addr={"type": "unix", "data": {"path": str(path)}}))
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(str(path))
    assert not path.exists()


@pytest.mark.parametrize("kind", ["file", "pipe", "socket"])
async def test_nothing_is_written_where_it_is_not_allowed(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("kept")
    vm = machine()
    vm.files = HostFiles([])
    unix = {"type": "unix", "data": {"path": str(path)}}
    members: dict[str, dict[str, object]] = {
        "file": {"out": str(path)}, "pipe": {"device": str(path)}, "socket": {"addr": unix},
    }  # fmt: skip
    async with serving("-qmp", "null", vm=vm):
        (said,) = asked(vm, added("x", kind, **members[kind]))
        assert "--allow-writes" in said
        assert "x" not in vm.chardevs
    assert path.read_text() == "kept"
