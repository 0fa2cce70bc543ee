"""A served machine inside somebody else's test, and monitors that misbehave on purpose.

    async with qshim.running("q35", version="10.0") as vm:
        await tool_under_test(vm.address)                  # a QMP monitor for the tool
        assert (await vm.qmp.execute("query-status"))["running"] is False

    with qshim.running(["-M", "virt"], target="aarch64") as vm:      # a test without asyncio
        subprocess.run(["some-tool", vm.address], check=True)
"""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from qshim import versions
from qshim.errors import QshimError, UsageError

if TYPE_CHECKING:
    from qemu.qmp import QMPClient

    from qshim.edge.server import Connection, Server
    from qshim.recording.format import Recording
    from qshim.vm import Vm

__all__ = ["Faults", "RunningVm", "running"]

_EMULATOR = re.compile(r"(?:qemu|qshim)-system-(\w+)")
_OWN = "qshim_testing"
_SECONDS = 30.0


class Faults:
    """What goes wrong on the monitors that a tool uses; nothing at first. `vm.qmp` is spared.

    A reply is what answers one QMP command, or one write of a human monitor; events and greetings are none.
    """

    def __init__(self) -> None:
        self.greeting: bytes | None = None
        """Sent instead of the greeting of each connection; `b""`: silence."""
        self._dropped = 0
        self._delays: list[float] = []
        self._left: int | None = None
        self._late: dict[Connection, list[tuple[float, bytes]]] = {}
        self._greeted: set[Connection] = set()

    def drop(self, replies: int = 1) -> None:
        """Keep the next *replies* back for good."""
        self._dropped += replies

    def delay(self, seconds: float, replies: int = 1) -> None:
        """Send the next *replies* late; what comes after them waits behind them."""
        self._delays += [seconds] * replies

    def close_after(self, bytes_: int) -> None:
        """Hang up as soon as *bytes_* more have been sent; once."""
        self._left = bytes_

    def outgoing(self, connection: Connection, data: bytes) -> None:
        """*data* is about to be sent on *connection*."""
        if connection.label.startswith(_OWN):
            connection.pass_on(data)
            return
        if connection not in self._greeted:
            self._greeted.add(connection)
            if self.greeting is not None:
                data = self.greeting
        elif not data.startswith(b'{"timestamp"'):
            if self._dropped:
                self._dropped -= 1
                return
            if self._delays:
                self._send_late(connection, data, self._delays.pop(0))
                return
        if self._late.get(connection):
            self._late[connection].append((0, data))
        else:
            self._send(connection, data)

    def _send(self, connection: Connection, data: bytes) -> None:
        if self._left is None:
            connection.pass_on(data)
            return
        connection.pass_on(data[: self._left])
        self._left -= len(data)
        if self._left <= 0:
            self._left = None
            connection.close()

    def _send_late(self, connection: Connection, data: bytes, seconds: float) -> None:
        queue = self._late.setdefault(connection, [])
        queue.append((seconds, data))
        if len(queue) == 1:
            self._arm(connection)

    def _arm(self, connection: Connection) -> None:
        asyncio.get_running_loop().call_later(self._late[connection][0][0], self._due, connection)

    def _due(self, connection: Connection) -> None:
        queue = self._late[connection]
        while queue:
            self._send(connection, queue.pop(0)[1])
            if queue and queue[0][0]:
                self._arm(connection)
                return


class RunningVm:
    """A machine that is served."""

    def __init__(self, vm: Vm, server: Server, faults: Faults, folder: str) -> None:
        self.vm = vm
        """The machine itself: memory, run state, name ..."""
        self.faults = faults
        """What goes wrong."""
        self.address = f"{folder}/qmp"
        """A unix socket with a QMP monitor, for the tool under test."""
        self.human_address = f"{folder}/hmp"
        """A unix socket with a human monitor."""
        self.addresses = server.addresses()
        """Every character device by id: those of the command line, too."""
        self._client: QMPClient | None = None
        self._loop = asyncio.get_running_loop()

    @property
    def qmp(self) -> QMPClient:
        """A connected client on a monitor of its own; of the event loop that serves the machine."""
        assert self._client is not None
        return self._client

    def emit(self, event: str, data: Mapping[str, object] | None = None) -> None:
        """Let an event happen."""
        self._loop.call_soon_threadsafe(self.vm.emit, event, data)

    def execute(self, command: str, arguments: Mapping[str, object] | None = None) -> Any:
        """What *command* returns; for tests without asyncio, from another thread than the serving one.

        :raises qemu.qmp.ExecuteError: the command fails.
        """
        call = self.qmp.execute(command, None if arguments is None else dict(arguments))
        return asyncio.run_coroutine_threadsafe(call, self._loop).result(_SECONDS)


class running:
    """Serve a machine while the block runs: `async with`, or `with` (then a thread serves it).

    *machine*: QEMU's command line as a list (a leading `qemu-system-...` names the target), or a
    recording: its file, the name of one that comes with qshim (`q35`, `aarch64/virt`), or the thing
    itself. *version*: the QEMU whose dialect is spoken, `7.2`, `10.0` or `11.1`.

    :raises UsageError: no such machine or version; a character device cannot be had.
    """

    def __init__(
        self,
        machine: str | Path | Recording | Sequence[str],
        *,
        version: str | None = None,
        target: str = "x86_64",
        allow_writes: Sequence[str] = (),
    ) -> None:
        if version is not None and version not in versions.KNOWN:
            raise UsageError(f"QEMU {version} is not a version that qshim speaks: {', '.join(versions.KNOWN)}")
        self._machine = machine
        self._version = version
        self._target = target
        self._allow_writes = allow_writes
        self._running: RunningVm | None = None
        self._thread: threading.Thread | None = None

    async def __aenter__(self) -> RunningVm:
        from qemu.qmp import QMPClient

        from qshim.argv import parse
        from qshim.edge.files import HostFiles
        from qshim.edge.server import Server

        self._folder = tempfile.TemporaryDirectory(prefix="qshim-")
        folder = self._folder.name
        try:
            label = self._version or versions.DEFAULT.label
            words, target = self._words()
            own = [
                "-chardev", f"socket,id={_OWN},path={folder}/own,server=on,wait=off",
                "-chardev", f"socket,id=qmp,path={folder}/qmp,server=on,wait=off",
                "-chardev", f"socket,id=hmp,path={folder}/hmp,server=on,wait=off",
                "-qmp", f"chardev:{_OWN}", "-qmp", "chardev:qmp", "-monitor", "chardev:hmp",
            ]  # fmt: skip
            line = parse([*words, *own], label, target)
            vm = self._vm(words, target, label)
            vm.files = HostFiles(self._allow_writes)
            faults = Faults()
            self._server = Server(vm, line, faults=faults)
            await self._server.start()
            self._serving = asyncio.create_task(self._server.run())
            # those of ours are no part of the machine
            for label_ in (_OWN, "qmp", "hmp"):
                vm.chardevs.pop(label_, None)
            self._running = RunningVm(vm, self._server, faults, folder)
            client = QMPClient("qshim.testing")
            await client.connect(f"{folder}/own")
            self._running._client = client
        except BaseException:
            self._folder.cleanup()
            raise
        return self._running

    def _words(self) -> tuple[list[str], str]:
        if isinstance(self._machine, (str, Path)) or not isinstance(self._machine, Sequence):
            return [], self._target
        words = [str(word) for word in self._machine]
        emulator = _EMULATOR.fullmatch(os.path.basename(words[0])) if words else None
        return (words, self._target) if emulator is None else (words[1:], emulator[1])

    def _vm(self, words: Sequence[str], target: str, label: str) -> Vm:
        from qshim.argv import parse
        from qshim.cli import machines, recordings
        from qshim.recording.format import Recording
        from qshim.vm import Vm

        if isinstance(self._machine, (str, Path)):
            recording = recordings.find(str(self._machine), self._version)
        elif isinstance(self._machine, Recording):
            recording = self._machine
        else:
            return machines.machine(parse(words, label, target), target, label, later=False)
        return Vm.from_recording(recording, self._version)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        from contextlib import suppress

        assert self._running is not None
        # the machine may have quit, and the client says so
        with suppress(EOFError, OSError):
            await self._running.qmp.disconnect()
        self._running.vm.shutdown("host-signal")
        await self._serving
        self._folder.cleanup()

    def __enter__(self) -> RunningVm:
        self._stop = asyncio.Event()
        started = threading.Event()
        failed: list[BaseException] = []

        async def serve() -> None:
            self._stop = asyncio.Event()
            try:
                await self.__aenter__()
            except BaseException as error:
                failed.append(error)
                return
            finally:
                started.set()
            await self._stop.wait()
            await self.__aexit__(None, None, None)

        self._thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
        self._thread.start()
        started.wait(_SECONDS)
        if failed:
            self._thread.join()
            raise failed[0]
        if self._running is None:
            raise QshimError(f"the machine was not there within {_SECONDS:g} s")
        return self._running

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._running is not None
        assert self._thread is not None
        self._running._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_SECONDS)
