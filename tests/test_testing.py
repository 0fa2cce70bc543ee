"""What other people's tests use: served machines, and monitors that misbehave on purpose."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from pathlib import Path

import pytest
from qemu.qmp import ExecuteError

import qshim
from qshim.errors import UsageError
from qshim.testing import RunningVm

pytest_plugins = ["pytester"]
SECONDS = 20


class Tool:
    """A client that says what it gets, byte for byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def on(cls, vm: RunningVm) -> Tool:
        return cls(*await asyncio.open_unix_connection(vm.address))

    async def line(self) -> bytes:
        return await asyncio.wait_for(self.reader.readline(), SECONDS)

    async def ask(self, command: str) -> None:
        self.writer.write(b'{"execute": "%s"}' % command.encode())

    async def negotiate(self) -> Tool:
        await self.line()
        await self.ask("qmp_capabilities")
        assert await self.line() == b'{"return": {}}\r\n'
        return self

    async def close(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()


async def test_a_recording_by_name_with_a_connected_client() -> None:
    async with qshim.running("q35", version="10.0") as vm:
        assert (await vm.qmp.execute("query-version"))["qemu"]["major"] == 10
        assert os.access(vm.address, os.W_OK)
        tool = await (await Tool.on(vm)).negotiate()
        await tool.ask("query-chardev")
        labels = {each["label"] for each in json.loads(await tool.line())["return"]}
        assert "serial0" in labels
        await tool.close()
    assert not os.access(vm.address, os.F_OK)


async def test_a_command_line(tmp_path: Path) -> None:
    words = ["qemu-system-aarch64", "-M", "virt", "-name", "a", "-qmp", f"unix:{tmp_path}/own,server=on,wait=off"]
    async with qshim.running(words) as vm:
        assert vm.addresses["compat_monitor0"] == f"{tmp_path}/own"
        assert await vm.qmp.execute("query-name") == {"name": "a"}
        # nobody said -S
        assert (await vm.qmp.execute("query-status"))["running"] is True
    with pytest.raises(UsageError, match="-kernel /dev/null: qshim loads no kernel"):
        async with qshim.running(["-M", "q35", "-kernel", "/dev/null"]):
            pass


def test_without_asyncio() -> None:
    with qshim.running(["-M", "none", "-S"], version="7.2") as vm:
        with socket.socket(socket.AF_UNIX) as human:
            human.settimeout(SECONDS)
            human.connect(vm.human_address)
            assert human.recv(100).startswith(b"QEMU 7.2.22 monitor - type 'help'")
        assert vm.execute("query-status")["status"] == "prelaunch"
        with pytest.raises(ExecuteError):
            vm.execute("nosuch")
    with pytest.raises(UsageError, match=r"QEMU 1\.0 is not a version"):
        qshim.running("q35", version="1.0")
    with pytest.raises(UsageError), qshim.running(["-M", "nosuch"]):
        pass


async def test_faults() -> None:
    async with qshim.running(["-M", "none"]) as vm:
        vm.faults.greeting = b'{"QMP": 1}\r\n'
        tool = await Tool.on(vm)
        assert await tool.line() == b'{"QMP": 1}\r\n'
        vm.faults.greeting = None
        await tool.ask("qmp_capabilities")
        await tool.line()
        vm.faults.drop()
        await tool.ask("query-status")
        await tool.ask("query-name")
        assert await tool.line() == b'{"return": {}}\r\n'
        vm.faults.delay(0.05)
        await tool.ask("query-name")
        await tool.ask("query-kvm")
        await vm.qmp.execute("query-name")
        vm.emit("POWERDOWN")
        # late replies keep their order, and hold back what comes behind them
        assert [list(json.loads(await tool.line())) for _ in range(3)] == [
            ["return"], ["return"], ["timestamp", "event"],
        ]  # fmt: skip
        vm.faults.close_after(10)
        await tool.ask("query-status")
        assert await asyncio.wait_for(tool.reader.read(), SECONDS) == b'{"return":'
        await tool.close()
        # nobody else noticed
        assert (await vm.qmp.execute("query-status"))["status"] == "running"
        await (await (await Tool.on(vm)).negotiate()).close()


def test_the_fixture(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import socket

        def test_it(qemu):
            with qemu("7.2/x86_64/isapc") as vm, socket.socket(socket.AF_UNIX) as tool:
                tool.connect(vm.address)
                assert b'"major": 7' in tool.recv(1000)
    """)
    # an editable install made before the plugin existed does not announce it
    plugin = [] if _installed() else ["-p", "qshim.pytest_plugin"]
    result = pytester.runpytest(*plugin, "-p", "no:asyncio")
    result.assert_outcomes(passed=1)


def _installed() -> bool:
    from importlib.metadata import entry_points

    return any(each.value == "qshim.pytest_plugin" for each in entry_points(group="pytest11"))
