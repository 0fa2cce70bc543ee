"""A machine of our own as one that can be attached to: in the same process, without a socket.

It is asked over a QMP session like any other client's, so it says the same as it would to `qshim bridge`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from qshim.bridge.broker import Access
from qshim.edge.mqtt_bridge import Bridge, Options
from qshim.edge.real_qemu import Refused
from qshim.errors import CompareError, QshimError
from qshim.monitor.qmp.session import QmpSession
from qshim.recording.format import lines_of
from qshim.vm import Vm

__all__ = ["LocalQemu", "bridging"]

_LAST_WORDS_SECONDS = 2.0
"""For the machine's last events to get from it to the bridge."""


class LocalQemu:
    """A QMP session with *vm*, used once."""

    def __init__(self, vm: Vm) -> None:
        self._vm = vm
        self._session = QmpSession(vm, self._take)
        self._answers: dict[int, dict[str, Any]] = {}
        self._asked = 0
        self._events: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self.left = asyncio.Event()
        """Nobody is attached any more."""

    @contextlib.asynccontextmanager
    async def attached(self) -> AsyncIterator[LocalQemu]:
        """The session, for as long as the context lasts.

        :raises CompareError: the machine has quit.
        """
        if self._vm.ended:
            raise CompareError("the machine has quit")
        self._vm.subscribe(self._nothing, self._end)
        self._session.start()
        try:
            await self.qmp("qmp_capabilities")
            yield self
        finally:
            self._session.stop()
            self._vm.unsubscribe(self._nothing, self._end)
            self.left.set()

    async def qmp(self, command: str, arguments: Mapping[str, object] | None = None) -> Any:
        """What *command* returns.

        :raises Refused: it answers with an error.
        :raises CompareError: the machine has quit.
        """
        self._asked += 1
        number = self._asked
        request = {"execute": command, "id": number, **({"arguments": arguments} if arguments else {})}
        self._session.receive(json.dumps(request).encode())
        # others want their turn, too: a monitor's client would have to wait for its socket
        await asyncio.sleep(0)
        answer = self._answers.pop(number, None)
        if answer is None:
            raise CompareError(f"the machine quit during `{command}`")
        if "error" in answer:
            raise Refused(command, str(answer["error"]["class"]), str(answer["error"]["desc"]))
        return answer["return"]

    async def hmp(self, line: str) -> tuple[str, ...] | None:
        """The lines that the HMP command *line* prints; None where this QEMU has no such command."""
        lines = lines_of(str(await self.qmp("human-monitor-command", {"command-line": line})))
        return None if lines and lines[0].startswith("unknown command: ") else lines

    async def events(self) -> AsyncIterator[Mapping[str, Any]]:
        """Each event.

        :raises CompareError: the machine has quit, and told all of them.
        """
        while (event := await self._events.get()) is not None:
            yield event
        raise CompareError("the machine has quit")

    def _take(self, data: bytes) -> None:
        message = json.loads(data)
        if "event" in message:
            self._events.put_nowait(message)
        elif "id" in message:
            self._answers[message["id"]] = message

    def _nothing(self, event: object) -> None:
        """Events come through the session."""

    def _end(self) -> None:
        self._events.put_nowait(None)


@contextlib.asynccontextmanager
async def bridging(vm: Vm, access: Access, options: Options) -> AsyncIterator[None]:
    """Tell the broker about *vm* while the context lasts, and at its end how the machine ended.

    :raises UsageError: no MQTT library is installed, or a file for TLS cannot be read.
    :raises NotAdmitted: the broker does not let us in, which ends the machine, too.
    """
    bridge = Bridge(access, options)
    qemu = LocalQemu(vm)
    bridge.add("in process", qemu.attached, vm.name or vm.machine or "qshim")
    running = asyncio.create_task(bridge.run())
    failed: list[QshimError] = []

    def over(task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if isinstance(error, QshimError):
            failed.append(error)
            vm.shutdown("host-error")

    running.add_done_callback(over)
    try:
        yield
    finally:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_SECONDS if vm.ended else 0):
                await qemu.left.wait()
        bridge.stop()
        await asyncio.gather(running, return_exceptions=True)
    if failed:
        raise failed[0]
