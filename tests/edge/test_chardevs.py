"""Every kind of character device, with a monitor on it."""

from __future__ import annotations

import array
import asyncio
import contextlib
import json
import os
import socket
import termios
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from qshim.argv import OptionError, parse
from qshim.edge.server import Server
from qshim.vm import Vm
from tests.edge.test_server import PAUSED, SECONDS, STATUS, Client, machine

GREETING = b'{"QMP": {"version": '
HUMAN = b"QEMU 11.1.0 monitor - type 'help' for more information\r\n(qemu) "
NEGOTIATE = b'{"execute":"qmp_capabilities"}'


@contextlib.asynccontextmanager
async def serving(*words: str, vm: Vm | None = None) -> AsyncIterator[Server]:
    server = Server(vm or machine(), parse(words))
    await server.start()
    running = asyncio.create_task(server.run())
    try:
        yield server
    finally:
        server.vm.shutdown("host-signal")
        await asyncio.wait_for(running, SECONDS)


async def client_of(sock: socket.socket) -> Client:
    return Client(*await asyncio.open_connection(sock=sock))


async def exchange(client: Client) -> None:
    assert (await client.line()).startswith(GREETING)
    client.writer.write(NEGOTIATE + STATUS)
    assert await client.line() == b'{"return": {}}\r\n'
    assert await client.line() == PAUSED


async def test_a_connected_descriptor() -> None:
    ours, theirs = socket.socketpair()
    async with serving("-chardev", f"socket,id=c,fd={theirs.detach()}", "-mon", "c,mode=control"):
        client = await client_of(ours)
        await exchange(client)
        await client.close()


async def test_a_listening_descriptor(tmp_path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "l"))
    listener.listen(1)
    words = ("-chardev", f"socket,id=c,fd={listener.detach()},server=on,wait=off", "-mon", "c,mode=control")
    async with serving(*words) as server:
        assert server.addresses() == {"c": str(tmp_path / "l")}
        for _ in range(2):
            client = await Client.connect(str(tmp_path / "l"))
            await exchange(client)
            await client.close()


async def test_a_descriptor_that_is_no_socket() -> None:
    reading, writing = os.pipe()
    server = Server(machine(), parse(["-chardev", f"socket,id=c,fd={reading}", "-monitor", "chardev:c"]))
    with pytest.raises(OptionError, match=f"File descriptor '{reading}' is not a socket"):
        await server.start()
    os.close(reading)
    os.close(writing)


async def test_a_client_that_connects_and_connects_again(tmp_path: Path) -> None:
    path = str(tmp_path / "tool")
    clients: asyncio.Queue[Client] = asyncio.Queue()

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await clients.put(Client(reader, writer))

    words = ("-chardev", f"socket,id=c,path={path},reconnect-ms=10", "-mon", "c,mode=control")
    async with serving(*words) as server:
        # nobody listens yet; that is no reason to end
        assert server.vm.chardevs["c"].filename == f"unix:{path}"
        tool = await asyncio.start_unix_server(accepted, path)
        for _ in range(2):
            client = await asyncio.wait_for(clients.get(), SECONDS)
            await exchange(client)
            await client.close()
        tool.close()
        await tool.wait_closed()


async def test_a_client_with_nobody_to_connect_to(tmp_path: Path) -> None:
    server = Server(machine(), parse(["-qmp", f"unix:{tmp_path}/no"]))
    with pytest.raises(OptionError, match=r"Failed to connect to '.*/no': No such file or directory"):
        await server.start()
    server = Server(machine(), parse(["-qmp", "tcp:192.0.2.1:1"]))
    with pytest.raises(OptionError, match=r"qshim uses TCP on loopback only, not on '192\.0\.2\.1'"):
        await server.start()


async def test_telnet() -> None:
    async with serving("-monitor", "telnet:127.0.0.1:0,server=on,wait=off") as server:
        host, _, port = server.addresses()["compat_monitor0"].rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        assert await reader.readexactly(12 + len(HUMAN)) == bytes.fromhex("fffb01fffb03fffb00fffd00") + HUMAN
        assert "telnet:127.0.0.1" in server.vm.chardevs["compat_monitor0"].filename
        writer.write(bytes.fromhex("fffd01") + b"info status\n")
        assert b"VM status: paused" in await asyncio.wait_for(reader.readuntil(b")\r\n(qemu) "), SECONDS)
        writer.close()
        await writer.wait_closed()


async def test_telnet_for_qmp() -> None:
    async with serving("-qmp", "telnet:127.0.0.1:0,server=on,wait=off") as server:
        host, _, port = server.addresses()["compat_monitor0"].rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        assert (await reader.readline()).startswith(bytes.fromhex("fffb01fffb03fffb00fffd00") + GREETING)
        writer.write(NEGOTIATE[:10] + bytes.fromhex("fffd01") + NEGOTIATE[10:])
        assert await reader.readline() == b'{"return": {}}\r\n'
        writer.close()
        await writer.wait_closed()


async def test_pipes(tmp_path: Path) -> None:
    for end in ("in", "out"):
        os.mkfifo(tmp_path / f"p.{end}")
    async with serving("-qmp", f"pipe:{tmp_path}/p"):
        writing = os.open(tmp_path / "p.in", os.O_WRONLY)
        reading = os.open(tmp_path / "p.out", os.O_RDONLY)
        os.write(writing, NEGOTIATE + STATUS)
        with os.fdopen(reading, "rb") as stream:
            lines = [await asyncio.to_thread(stream.readline) for _ in range(3)]
        assert lines[1:] == [b'{"return": {}}\r\n', PAUSED]
        os.close(writing)


async def test_files(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(NEGOTIATE + STATUS * 3)
    device = f"file,id=f,path={tmp_path}/out,input-path={tmp_path}/in"
    async with serving("-chardev", device, "-mon", "f,mode=control"):
        for _ in range(SECONDS * 100):
            if (tmp_path / "out").read_bytes().endswith(PAUSED * 3):
                break
            await asyncio.sleep(0.01)
    lines = (tmp_path / "out").read_bytes().splitlines(keepends=True)
    assert lines[0].startswith(GREETING)
    assert lines[1:-1] == [b'{"return": {}}\r\n', *[PAUSED] * 3]
    assert json.loads(lines[-1])["event"] == "SHUTDOWN"


async def test_a_pseudo_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    async with serving("-monitor", "pty") as server:
        name = server.addresses()["compat_monitor0"]
        assert capsys.readouterr().out == f"char device redirected to {name} (label compat_monitor0)\n"
        for _ in range(2):
            terminal = os.open(name, os.O_RDWR | os.O_NOCTTY)
            assert not termios.tcgetattr(terminal)[3] & termios.ECHO
            got = b""
            while not got.endswith(HUMAN):
                got += await asyncio.to_thread(os.read, terminal, 4096)
            os.close(terminal)
            for _ in range(SECONDS * 100):
                await asyncio.sleep(0.01)
                if not server.connections:
                    break


async def test_devices_without_a_monitor_and_monitors_without_a_peer(tmp_path: Path) -> None:
    words = (
        "-chardev",
        "ringbuf,id=r",
        "-qmp",
        "null",
        "-monitor",
        "vc",
        "-qmp",
        f"unix:{tmp_path}/q,server=on,wait=off",
    )
    async with serving(*words) as server:
        assert {c.label: (c.filename, c.frontend_open) for c in server.vm.chardevs.values()} == {
            "r": ("ringbuf", False),
            "compat_monitor0": ("null", True),
            "compat_monitor1": ("vc", True),
            "compat_monitor2": (f"disconnected:unix:{tmp_path}/q,server=on", True),
        }
        client = await Client.connect(f"{tmp_path}/q")
        await exchange(client)
        assert server.vm.chardevs["compat_monitor2"].filename == f"unix:{tmp_path}/q,server=on"
        await client.close()


def send_with(sock: socket.socket, data: bytes, *fds: int) -> None:
    sock.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))])


async def test_a_descriptor_that_comes_ahead_of_its_command(tmp_path: Path) -> None:
    path = f"{tmp_path}/q"
    async with serving("-qmp", f"unix:{path},server=on,wait=off"):
        client = await (await Client.connect(path)).negotiated()
        raw = socket.socket(fileno=os.dup(client.writer.get_extra_info("socket").fileno()))
        reading, writing = os.pipe()
        beside = os.dup(writing)
        # a lone space, as qemu.qmp sends it; all but the first are closed by getfd
        send_with(raw, b" ", writing, beside)
        os.close(writing)
        os.close(beside)
        await asyncio.sleep(0)
        for command, reply in (
            ('{"execute":"getfd","arguments":{"fdname":"a"}}', b'{"return": {}}\r\n'),
            ('{"execute":"getfd","arguments":{"fdname":"b"}}', None),
            ('{"execute":"closefd","arguments":{"fdname":"a"}}', b'{"return": {}}\r\n'),
        ):
            client.writer.write(command.encode())
            line = await client.line()
            if reply is None:
                assert json.loads(line)["error"]["desc"] == "No file descriptor supplied via SCM_RIGHTS"
            else:
                assert line == reply
        # nobody holds the writing end any more
        assert os.read(reading, 1) == b""
        os.close(reading)
        raw.close()
        await client.close()


async def test_descriptors_that_nobody_takes_are_closed(tmp_path: Path) -> None:
    path = f"{tmp_path}/q"
    async with serving("-qmp", f"unix:{path},server=on,wait=off"):
        client = await (await Client.connect(path)).negotiated()
        raw = socket.socket(fileno=os.dup(client.writer.get_extra_info("socket").fileno()))
        reading, writing = os.pipe()
        for _ in range(100):
            send_with(raw, b" ", writing)
        os.close(writing)
        client.writer.write(STATUS)
        assert await client.line() == PAUSED
        raw.close()
        await client.close()
        assert await asyncio.to_thread(os.read, reading, 1) == b""
        os.close(reading)


async def test_a_huge_token_costs_bounded_memory_and_disturbs_nobody(tmp_path: Path) -> None:
    words = ("-qmp", f"unix:{tmp_path}/a,server=on,wait=off", "-qmp", f"unix:{tmp_path}/b,server=on,wait=off")
    async with serving(*words):
        flood = await (await Client.connect(f"{tmp_path}/a")).negotiated()
        other = await (await Client.connect(f"{tmp_path}/b")).negotiated()
        flood.writer.write(b'"')
        for _ in range(65):
            flood.writer.write(b"x" * (1 << 20))
            await flood.writer.drain()
            other.writer.write(STATUS)
            assert await other.line() == PAUSED
        assert json.loads(await flood.line())["error"]["desc"] == "JSON token size limit exceeded"
        flood.writer.transport.abort()
        await other.close()


async def test_a_flood_of_human_commands_waits_for_its_reader(tmp_path: Path) -> None:
    async with serving("-monitor", f"unix:{tmp_path}/h,server=on,wait=off", vm=machine(500)) as server:
        client = await Client.connect(f"{tmp_path}/h")
        transport = client.writer.transport
        assert isinstance(transport, asyncio.Transport)
        transport.pause_reading()
        client.writer.write(b"info mtree\n" * 2000)
        await asyncio.sleep(0.3)
        [connection] = server.connections
        assert connection.unwritten < 1 << 20
        transport.abort()
