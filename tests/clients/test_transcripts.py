"""Conversations that real clients had with QEMU 7.2, held again with qshim (fixtures/clients).

The recorded machine is not the served one, so a reply is compared by what a client relies on: its kind, its id,
its error, and which members it has. What a human monitor echoes is compared byte for byte.
"""

from __future__ import annotations

import array
import asyncio
import json
import lzma
import os
import socket
import tempfile
from pathlib import Path
from typing import Any

import pytest

import qshim
from qshim.testing import RunningVm

TRANSCRIPTS = sorted((Path(__file__).parents[2] / "fixtures" / "clients").glob("*.jsonl.xz"))
SECONDS = 20
ENDINGS = {"CRLF": b"\r\n", "LF": b"\n", "none": b"", None: b""}

OTHERWISE = {
    "human-monitor-command gpa2hva 0x333431040000": "an address that the client made up from another machine's text",
    "query-named-block-nodes": "qshim does not model what is in the drives of this machine",
    "qom-list /machine/unattached/non-qdev-gpio[10]": "the recording has no properties of interrupt lines",
    "qom-get /machine/unattached/non-qdev-gpio[10]": "the recording has no properties of interrupt lines",
    "human-monitor-command info registers": "no guest runs, so there are no registers beyond the reset values",
}
"""Command -> why its reply is not compared."""

TYPED_AHEAD = ("screendump /run/vm/x.ppm", "device_del rng9")
"""Typed while the monitor still printed: what QEMU echoed then depended on how fast it was."""


def messages(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lzma.decompress(path.read_bytes()).splitlines()]


def named(request: dict[str, Any]) -> str:
    arguments = request.get("arguments", {})
    return f"{request['execute']} {arguments.get('command-line') or arguments.get('path', '')}".strip()


def shape(value: object) -> object:
    """What a client may look at without knowing the machine."""
    if isinstance(value, dict):
        return {key: shape(member) for key, member in sorted(value.items())}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return "number" if isinstance(value, (int, float)) and not isinstance(value, bool) else type(value).__name__


class Wire:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send_with(self, data: bytes, fd: int) -> None:
        """Send *data* together with a descriptor."""
        with socket.socket(fileno=os.dup(self.writer.get_extra_info("socket").fileno())) as raw:
            raw.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])

    async def reply(self) -> dict[str, Any]:
        """The next message that is no event."""
        while True:
            line = await asyncio.wait_for(self.reader.readline(), SECONDS)
            assert line.endswith(b"\r\n"), line
            message: dict[str, Any] = json.loads(line)
            if "event" not in message:
                return message


async def connect(address: str) -> Wire:
    return Wire(*await asyncio.open_unix_connection(address, limit=32 << 20))


def conversations(said: list[dict[str, Any]]) -> list[tuple[list[tuple[bytes, dict[str, Any]]], list[dict[str, Any]]]]:
    """For each connection what the client sent, as bytes and as request, and the replies to it, greeting first."""
    found: dict[int, tuple[list[tuple[bytes, dict[str, Any]]], list[dict[str, Any]]]] = {}
    for message in said:
        sent, got = found.setdefault(message["conn"], ([], []))
        if message.get("dir") == "S":
            if "event" not in message.get("json", {"event": ""}):
                got.append(message["json"])
        elif isinstance(message.get("json"), dict):
            request = message["json"] | ({"fds": message["fds"]} if message.get("fds") else {})
            sent.append((json.dumps(message["json"]).encode() + ENDINGS[message["term"]], request))
        elif message.get("raw"):
            # one client writes several requests without anything in between
            parts = message["raw"].replace('}{"execute"', '}\n{"execute"').split("\n")
            sent += [(part.encode(), json.loads(part)) for part in parts if part.strip()]
    return list(found.values())


@pytest.mark.parametrize("path", [p for p in TRANSCRIPTS if ".hmp" not in p.name], ids=lambda p: p.name.split(".")[0])
async def test_qmp(path: Path) -> None:
    async with qshim.running("7.2/x86_64/pc") as vm:
        for sent, (greeting, *got) in conversations(messages(path)):
            wire = await connect(vm.address)
            assert shape(await wire.reply()) == shape(greeting)
            for (raw, request), theirs in zip(sent, got, strict=False):
                if "fds" in request:
                    with tempfile.TemporaryFile() as passed:
                        wire.send_with(raw, passed.fileno())
                else:
                    wire.writer.write(raw)
                ours = await wire.reply()
                if named(request) in OTHERWISE:
                    continue
                assert list(ours) == list(theirs), f"{request}: {ours.get('error')}"
                assert ours.get("id") == theirs.get("id")
                assert ours.get("error") == theirs.get("error"), named(request)
                if isinstance(theirs.get("return"), dict):
                    assert shape(ours["return"]) == shape(theirs["return"]), named(request)
                elif "return" in theirs:
                    assert type(ours["return"]) is type(theirs["return"]), named(request)
            wire.writer.close()


@pytest.mark.parametrize("path", [p for p in TRANSCRIPTS if ".hmp" in p.name], ids=lambda p: p.name.split(".")[0])
async def test_human_monitor(path: Path) -> None:
    async with qshim.running("7.2/x86_64/pc") as vm:
        await _human(vm, messages(path))


async def _human(vm: RunningVm, said: list[dict[str, Any]]) -> None:
    everything = "".join(message.get("raw", "") for message in said if message.get("dir") == "S")
    numbers = sorted({message["conn"] for message in said})
    for number in numbers:
        wire = await connect(vm.human_address)
        greeting = await asyncio.wait_for(wire.reader.readuntil(b"(qemu) "), SECONDS)
        assert greeting == b"QEMU 7.2.22 monitor - type 'help' for more information\r\n(qemu) "
        for message in said:
            if message["conn"] != number or message.get("dir") != "C" or not message.get("raw"):
                continue
            sent = message["raw"].encode()
            wire.writer.write(sent)
            ours = b""
            for _ in range(sent.count(b"\n") + sent.count(b"\r")):
                ours += await asyncio.wait_for(wire.reader.readuntil(b"(qemu) "), SECONDS)
            # the echo with its redraws, to the byte
            echo, _, printed = ours.decode().partition("\r\n")
            if message["raw"].strip() in TYPED_AHEAD:
                continue
            assert f"{echo}\r\n" in everything
            if printed.startswith("unknown command"):
                assert ours.decode() in everything
        wire.writer.close()
        await wire.writer.wait_closed()
