"""The server on real sockets: stock client, framing, waiting clients, floods, disconnects, the end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from qemu.qmp import ExecuteError, QMPClient

from qshim.argv import parse
from qshim.edge.server import Server
from qshim.errors import UsageError
from qshim.memory import AddressSpace, MemoryRegion, Topology
from qshim.vm import Vm

NEGOTIATE = b'{"execute":"qmp_capabilities"}'
STATUS = b'{"execute":"query-status"}'
PAUSED = b'{"return": {"status": "prelaunch", "running": false}}\r\n'
SECONDS = 20


def machine(regions: int = 3) -> Vm:
    """A small machine: *regions* pieces of I/O."""
    topology = Topology()
    with topology.transaction():
        root = MemoryRegion(topology, "system", 1 << 64)
        for i in range(regions):
            root.add_subregion(MemoryRegion.io(topology, f"device{i}", 0x1000), 0xE0000000 + i * 0x4000, 1)
    AddressSpace(topology, root, "memory")
    return Vm(topology, name="testvm", cpus=1)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "q")


@pytest.fixture
async def server(path: str) -> AsyncIterator[Server]:
    server = Server(machine(), parse(["-qmp", f"unix:{path},server=on,wait=off"]))
    await server.start()
    running = asyncio.create_task(server.run())
    yield server
    server.vm.shutdown("host-signal")
    await asyncio.wait_for(running, SECONDS)
    assert not os.access(path, os.F_OK)
    assert not server.connections


class Client:
    """A bare socket; nothing is understood, nothing is sent that the test does not say."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, path: str) -> Client:
        # blocking: with the queue full, a connect that does not block fails at once
        sock = socket.socket(socket.AF_UNIX)
        await asyncio.to_thread(sock.connect, path)
        return cls(*await asyncio.open_unix_connection(sock=sock, limit=64 << 20))

    async def line(self) -> bytes:
        return await asyncio.wait_for(self.reader.readline(), SECONDS)

    async def greeted(self) -> Client:
        assert (await self.line()).startswith(b'{"QMP": ')
        return self

    async def negotiated(self) -> Client:
        await self.greeted()
        self.writer.write(NEGOTIATE)
        assert await self.line() == b'{"return": {}}\r\n'
        return self

    async def close(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()


async def test_the_stock_client_connects_asks_and_leaves(server: Server, path: str) -> None:
    client = QMPClient("test")
    await client.connect(path)
    assert await client.execute("query-status") == {"status": "prelaunch", "running": False}
    assert await client.execute("query-name") == {"name": "testvm"}
    text = await client.execute("human-monitor-command", {"command-line": "info mtree"})
    assert isinstance(text, str)
    assert "device0\r\n" in text
    with pytest.raises(ExecuteError, match="The command nosuch has not been found") as caught:
        await client.execute("nosuch")
    assert caught.value.error_class == "CommandNotFound"
    await client.disconnect()
    # and again: a new connection starts anew
    await client.connect(path)
    await client.execute("query-version")
    await client.disconnect()


async def test_quit_tells_the_stock_client(server: Server, path: str) -> None:
    client = QMPClient("test")
    await client.connect(path)
    with client.listener() as events:
        assert await client.execute("quit") == {}
        event = await asyncio.wait_for(events.get(), SECONDS)
    assert event["event"] == "SHUTDOWN"
    assert event["data"] == {"guest": False, "reason": "host-qmp-quit"}
    with contextlib.suppress(EOFError):
        # the client reports that the server hung up first
        await client.disconnect()


async def test_quit_comes_after_its_event_and_ends_the_stream(server: Server, path: str) -> None:
    client = await (await Client.connect(path)).negotiated()
    client.writer.write(b'{"execute":"quit","id":1}' + STATUS)
    assert json.loads(await client.line())["event"] == "SHUTDOWN"
    assert await client.line() == b'{"return": {}, "id": 1}\r\n'
    assert await client.line() == b""
    await client.close()


async def test_objects_need_no_line_ends(server: Server, path: str) -> None:
    client = await (await Client.connect(path)).greeted()
    client.writer.write(NEGOTIATE + STATUS)
    assert [await client.line(), await client.line()] == [b'{"return": {}}\r\n', PAUSED]
    await client.close()


async def test_one_byte_at_a_time(server: Server, path: str) -> None:
    client = await (await Client.connect(path)).negotiated()
    for byte in STATUS:
        client.writer.write(bytes((byte,)))
        await client.writer.drain()
        await asyncio.sleep(0)
    assert await client.line() == PAUSED
    await client.close()


async def test_a_second_client_is_greeted_when_the_first_leaves(server: Server, path: str) -> None:
    first = await (await Client.connect(path)).negotiated()
    second = await Client.connect(path)
    second.writer.write(NEGOTIATE + STATUS)
    third = await Client.connect(path)
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(second.reader.read(1), 0.1)
    await first.close()
    await second.greeted()
    assert [await second.line(), await second.line()] == [b'{"return": {}}\r\n', PAUSED]
    await second.close()
    await third.negotiated()
    await third.close()


async def test_a_half_closed_client_gets_its_replies(server: Server, path: str) -> None:
    client = await (await Client.connect(path)).greeted()
    client.writer.write(NEGOTIATE + STATUS * 20_000)
    client.writer.write_eof()
    assert await client.line() == b'{"return": {}}\r\n'
    # the server has to wait for this client in between
    await asyncio.sleep(0.1)
    assert await asyncio.wait_for(client.reader.read(), SECONDS) == PAUSED * 20_000
    await client.close()


async def test_a_client_that_never_reads_is_not_answered_without_end(path: str) -> None:
    server = Server(machine(300), parse(["-qmp", f"unix:{path},server=on,wait=off"]))
    await server.start()
    client = await (await Client.connect(path)).negotiated()
    transport = client.writer.transport
    assert isinstance(transport, asyncio.Transport)
    transport.set_write_buffer_limits(high=0)
    transport.pause_reading()
    ask = b'{"execute":"human-monitor-command","arguments":{"command-line":"info mtree"}}' * 100

    async def taken() -> bool:
        try:
            await asyncio.wait_for(client.writer.drain(), 0.5)
        except TimeoutError:
            return False
        return True

    # 100 questions at a time, until the server takes no more
    sent = 100
    client.writer.write(ask)
    while await taken():
        client.writer.write(ask)
        sent += 100
    [connection] = server.connections
    assert connection.unwritten < 256 << 10
    # when it reads again, it gets everything
    transport.resume_reading()
    replies = [await client.line() for _ in range(sent)]
    assert len(set(replies)) == 1
    client.writer.transport.abort()
    await server.end()


async def test_a_client_that_never_reads_does_not_hold_up_the_end(path: str) -> None:
    server = Server(machine(2000), parse(["-qmp", f"unix:{path},server=on,wait=off"]))
    await server.start()
    running = asyncio.create_task(server.run())
    client = await (await Client.connect(path)).negotiated()
    transport = client.writer.transport
    assert isinstance(transport, asyncio.Transport)
    transport.pause_reading()
    client.writer.write(b'{"execute":"human-monitor-command","arguments":{"command-line":"info mtree"}}' * 1000)
    await asyncio.sleep(0.2)
    server.vm.shutdown("host-signal")
    await asyncio.wait_for(running, SECONDS)
    assert not server.connections
    client.writer.transport.abort()
    await asyncio.sleep(0)


@pytest.mark.parametrize("last", [b"", b'{"execute":"que', STATUS * 500, b'"' + b"x" * 100_000])
async def test_an_abrupt_end_disturbs_nobody(server: Server, path: str, last: bytes) -> None:
    for _ in range(3):
        rude = socket.socket(socket.AF_UNIX)
        rude.connect(path)
        rude.setblocking(False)
        try:
            rude.send(NEGOTIATE + last)
        finally:
            rude.close()
        await asyncio.sleep(0)
    client = await (await Client.connect(path)).negotiated()
    client.writer.write(STATUS)
    assert await client.line() == PAUSED
    await client.close()


async def test_two_monitors_share_the_machine_and_its_events(tmp_path: Path) -> None:
    words = [w for i in "ab" for w in ("-qmp", f"unix:{tmp_path}/{i},server=on,wait=off")]
    server = Server(machine(), parse(words))
    await server.start()
    running = asyncio.create_task(server.run())
    first = await (await Client.connect(f"{tmp_path}/a")).negotiated()
    second = await (await Client.connect(f"{tmp_path}/b")).negotiated()
    deaf = await Client.connect(f"{tmp_path}/b")
    first.writer.write(b'{"execute":"quit"}')
    for client in (first, second):
        assert json.loads(await client.line())["event"] == "SHUTDOWN"
    assert await second.line() == b""
    with contextlib.suppress(ConnectionResetError):
        assert await deaf.reader.read() == b""
    await asyncio.wait_for(running, SECONDS)
    for client in (first, second):
        await client.close()
    with contextlib.suppress(ConnectionResetError):
        await deaf.close()


async def test_an_end_before_negotiation_says_nothing(server: Server, path: str) -> None:
    client = await (await Client.connect(path)).greeted()
    server.vm.shutdown("host-signal")
    assert await client.line() == b""
    await client.close()


async def test_pretty(path: str) -> None:
    server = Server(machine(), parse(["-qmp-pretty", f"unix:{path},server=on,wait=off"]))
    await server.start()
    running = asyncio.create_task(server.run())
    client = await Client.connect(path)
    assert await client.line() == b"{\r\n"
    client.writer.write(NEGOTIATE)
    await asyncio.wait_for(client.reader.readuntil(b'{\r\n    "return": {\r\n    }\r\n}\r\n'), SECONDS)
    server.vm.shutdown("host-signal")
    await asyncio.wait_for(running, SECONDS)
    await client.close()


async def test_tcp_on_loopback_with_any_port() -> None:
    server = Server(machine(), parse(["-qmp", "tcp:127.0.0.1:0,server=on,wait=off"]))
    await server.start()
    running = asyncio.create_task(server.run())
    client = QMPClient("test")
    host, _, port = server.addresses()["compat_monitor0"].rpartition(":")
    await client.connect((host, int(port)))
    await client.execute("query-status")
    await client.disconnect()
    server.vm.shutdown("host-signal")
    await asyncio.wait_for(running, SECONDS)


async def test_tcp_elsewhere_is_refused() -> None:
    server = Server(machine(), parse(["-qmp", "tcp:0.0.0.0:0,server=on,wait=off"]))
    with pytest.raises(UsageError, match="qshim uses TCP on loopback only"):
        await server.start()


async def test_the_socket_is_its_owners_and_replaces_what_is_there(path: str) -> None:
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(path)
    stale.close()
    server = Server(machine(), parse(["-qmp", f"unix:{path},server=on,wait=off"]))
    await server.start()
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    client = await (await Client.connect(path)).negotiated()
    # somebody else's file is left alone at the end
    os.unlink(path)
    os.mknod(path)
    server.vm.shutdown("host-signal")
    await server.run()
    assert os.access(path, os.F_OK)
    await client.close()


async def test_a_place_that_cannot_be_bound(tmp_path: Path) -> None:
    good, bad = tmp_path / "good", tmp_path / "missing" / "bad"
    words = ["-qmp", f"unix:{good},server=on,wait=off", "-qmp", f"unix:{bad},server=on,wait=off"]
    server = Server(machine(), parse(words))
    with pytest.raises(UsageError, match=r"Failed to bind socket to .*/bad: No such file or directory"):
        await server.start()
    assert not good.exists()


async def test_waiting_for_the_first_client(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    server = Server(machine(), parse(["-qmp", f"unix:{path},server=on"]))
    starting = asyncio.create_task(server.start())
    await asyncio.sleep(0.05)
    assert not starting.done()
    client = await Client.connect(path)
    await asyncio.wait_for(starting, SECONDS)
    await client.negotiated()
    assert "waiting for connection on: disconnected:unix:" in capsys.readouterr().err
    server.vm.shutdown("host-signal")
    await server.run()
    await client.close()
