"""One machine of a bridge: attach to its monitor, tell what it says, and try again when it is gone.

Only questions are asked, never anything that stops or changes the machine. A QMP monitor serves one client, so the
monitor is ours while we are attached; one that is somebody else's is told in the machine's state, and tried again.
"""

from __future__ import annotations

import asyncio
import gzip
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, Protocol

from qshim.bridge.backoff import Backoff
from qshim.bridge.commands import AllowList, Refusal, Request, read_request
from qshim.bridge.outbox import Outbox
from qshim.bridge.payloads import Limits, Payloads, Position
from qshim.bridge.topics import MachineTopics
from qshim.edge.mqtt_layout import LayoutReader, Monitored, Unsteady, never_returns
from qshim.edge.real_qemu import Refused
from qshim.errors import CompareError, QshimError, RecordingError
from qshim.layout.snapshot import Snapshot
from qshim.layout.snapshot_text import digest, parse, render

__all__ = ["Attach", "Feed", "Hub"]

Attach = Callable[[], AbstractAsyncContextManager[Monitored]]

_FIRST_SECONDS, _MOST_SECONDS = 0.5, 10.0
"""Between two attempts to attach."""

_SETTLE_SECONDS = 0.2
"""After an event, before anything is asked: several events often come at once."""

_REST = 10
"""So many times as long as a reading took nothing is read, however many events come: QEMU stands still for it."""

_MOST_REQUESTS = 16
_log = logging.getLogger(__name__)


class Hub(Protocol):
    """What the machines of a bridge share."""

    host: str
    limits: Limits
    session: str
    poll: float
    allowed: AllowList | None
    readings: asyncio.Semaphore
    outbox: Outbox

    async def name(self, feed: Feed, wanted: str | None) -> str:
        """The name that *feed* has on the broker; None: it cannot tell what it wants yet."""

    def topics(self, name: str) -> MachineTopics:
        """Of the machine *name*."""

    def renamed(self, before: str | None, now: str) -> None:
        """A machine that was called *before* is called *now*."""

    def wake(self) -> None:
        """There is something to send."""


class Feed:
    """The machine behind one monitor."""

    def __init__(self, hub: Hub, address: str, attach: Attach, stem: str) -> None:
        """*address* is told on the broker; *stem* is the name of a machine that has none."""
        self.address = address
        self.stem = stem
        self.named: str | None = None
        """What it is called on the broker; None before anybody knows."""
        self._hub = hub
        self._attach = attach
        self._backoff = Backoff(_FIRST_SECONDS, _MOST_SECONDS)
        self._stale = (asyncio.Event(), asyncio.Event())
        """Something happened since the run state, the layout was asked for."""
        self._sequence = 0
        self._requests: asyncio.Queue[Request] = asyncio.Queue(_MOST_REQUESTS)
        self._attached = False
        self._told: tuple[object, ...] | None = None
        self._layout: bytes | None = None

    async def run(self) -> None:
        """Attach, and again, until cancelled."""
        while True:
            try:
                async with self._attach() as qemu:
                    await self._follow(qemu)
            except QshimError as error:
                await self._unreachable(str(error))
            except Exception as error:
                # a machine that says what nobody can make sense of is no reason to leave the others
                reason = f"{type(error).__name__}: {error}"
                await self._unreachable(f"the monitor at {self.address} says what a QEMU does not: {reason}")
            await asyncio.sleep(self._backoff.wait())

    def request(self, payload: bytes, *, retained: bool) -> None:
        """Somebody published *payload* on our command topic; it is carried out or refused."""
        if not payload:
            # somebody takes away what was retained there
            return
        try:
            request = read_request(payload)
            allowed = self._hub.allowed
            reason = "no commands are allowed here" if allowed is None else allowed.refusal(request)
            if reason is None and retained:
                reason = "a retained request would be carried out again and again; publish it without the retain flag"
            if reason is None and not self._attached:
                reason = "the machine's monitor cannot be talked to at the moment"
            if reason is None and self._requests.full():
                reason = f"{_MOST_REQUESTS} requests wait already"
            if reason is not None:
                raise Refusal(reason, request.id)
            self._requests.put_nowait(request)
        except Refusal as refusal:
            _log.info("refused a command for %s: %s", self.named, refusal)
            self._reply(refusal.id, refused=str(refusal))

    @property
    def _name(self) -> str:
        assert self.named is not None
        return self.named

    @property
    def _payloads(self) -> Payloads:
        return Payloads(self._hub.host, self._name, self._hub.limits)

    async def _follow(self, qemu: Monitored) -> None:
        version = (await qemu.qmp("query-version"))["qemu"]
        qemu_version = f"{version['major']}.{version['minor']}.{version['micro']}"
        name = str((await qemu.qmp("query-name")).get("name") or "") or self.stem
        await self._rename(name)
        _log.info("%s is attached at %s", self._name, self.address)
        self._attached = True
        self._backoff.reset()
        failed: list[BaseException] = []
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._forward(qemu))
                tasks.create_task(self._watch_state(qemu, qemu_version))
                tasks.create_task(self._watch_layout(qemu))
                tasks.create_task(self._answer(qemu))
        except* Exception as group:
            failed += group.exceptions
        finally:
            self._attached = False
        raise failed[0] if failed else CompareError("the monitor has nothing more to say")

    async def _rename(self, wanted: str | None) -> None:
        before, self.named = self.named, await self._hub.name(self, wanted)
        if before != self.named:
            self._told = None
            self._layout = None
            self._hub.renamed(before, self.named)

    async def _unreachable(self, reason: str) -> None:
        if self.named is None:
            await self._rename(None)
        if self._told != (None, reason):
            _log.warning("%s: %s; trying again", self._name, reason)
        self._state(None, None, reason)
        while not self._requests.empty():
            self._reply(self._requests.get_nowait().id, refused=reason)

    def _state(self, status: dict[str, Any] | None, qemu: str | None, reason: str | None) -> None:
        """Publish it if it is news; the time in it is that since when it is so."""
        now = (None, reason) if status is None else (status.get("status"), status.get("running"), qemu)
        if now != self._told:
            self._told = now
            at = int(time.time())
            topic = self._hub.topics(self._name).state
            self._hub.outbox.retain(
                topic, self._payloads.state(self.address, at, status=status, qemu=qemu, reason=reason)
            )
            self._hub.wake()

    async def _forward(self, qemu: Monitored) -> None:
        topics, payloads, outbox = self._hub.topics(self._name), self._payloads, self._hub.outbox
        async for event in qemu.events():
            outbox.add(self._name, topics.event(str(event.get("event"))), payloads.event(event, self._next()))
            for stale in self._stale:
                stale.set()
            self._hub.wake()

    def _next(self) -> Position:
        self._sequence += 1
        return Position(self._hub.session, self._sequence)

    async def _watch_state(self, qemu: Monitored, version: str) -> None:
        async def look() -> None:
            self._state(await qemu.qmp("query-status"), version, None)

        await self._again_and_again(self._stale[0], look)

    async def _watch_layout(self, qemu: Monitored) -> None:
        reader = LayoutReader(qemu)

        async def look() -> None:
            async with self._hub.readings:
                await self._look(reader)

        await self._again_and_again(self._stale[1], look)

    async def _again_and_again(self, stale: asyncio.Event, look: Callable[[], Awaitable[None]]) -> None:
        """Look now, after events, and every so many seconds."""
        loop = asyncio.get_running_loop()
        while True:
            stale.clear()
            begun = loop.time()
            await look()
            rest = max(_SETTLE_SECONDS, _REST * (loop.time() - begun))
            with suppress(TimeoutError):
                async with asyncio.timeout(self._hub.poll):
                    await stale.wait()
                    await asyncio.sleep(rest)

    async def _look(self, reader: LayoutReader) -> None:
        topics, at = self._hub.topics(self._name), int(time.time())
        try:
            snapshot = await reader.read()
        except Unsteady as error:
            # what is known stays; it is tried again after the next event or so many seconds
            _log.info("%s: %s", self._name, error)
            if self._layout is None:
                self._hub.outbox.retain(topics.layout, self._payloads.no_layout(str(error), at))
                self._hub.wake()
            return
        except RecordingError as error:
            _log.warning("%s: the layout cannot be read: %s", self._name, error)
            self._layout = None
            self._hub.outbox.retain(topics.layout, self._payloads.no_layout(str(error), at))
            self._hub.outbox.retain(topics.full, b"")
            self._hub.wake()
            return
        if snapshot is not None:
            self._publish(snapshot, topics, at)

    def _publish(self, snapshot: Snapshot, topics: MachineTopics, at: int) -> None:
        text = render(snapshot).encode("utf-8", "surrogateescape")
        before = None if self._layout is None else gzip.decompress(self._layout)
        if text == before:
            return
        was = None if before is None else parse(before.decode("utf-8", "surrogateescape"))
        # it may be the same memory, read while the machine ran or not
        if was is not None and digest(was) != digest(snapshot):
            self._hub.outbox.add(self._name, topics.diff, self._payloads.diff(was, snapshot, self._next()))
        # kept small: there may be hundreds of machines
        self._layout = gzip.compress(text)
        self._hub.outbox.retain(topics.layout, self._payloads.layout(snapshot, at))
        self._hub.outbox.retain(topics.full, self._payloads.full(snapshot))
        self._hub.wake()

    async def _answer(self, qemu: Monitored) -> None:
        loop = asyncio.get_running_loop()
        while True:
            request = await self._requests.get()
            begun = loop.time()
            try:
                if request.line is None:
                    self._reply(request.id, result=await qemu.qmp(request.command, request.arguments))
                elif await never_returns(qemu, request.line):
                    self._reply(request.id, refused=f"`{request.line}` would hang this QEMU")
                else:
                    self._reply_lines(request, await qemu.hmp(request.line))
            except Refused as refused:
                self._reply(request.id, error={"class": refused.error_class, "desc": refused.description})
            except QshimError as error:
                self._reply(request.id, refused=str(error))
                raise
            # QEMU stands still for a question, and whoever asks without end gets half of its time at most
            await asyncio.sleep(loop.time() - begun)

    def _reply_lines(self, request: Request, lines: tuple[str, ...] | None) -> None:
        if lines is None:
            unknown = f"unknown command: '{request.line}'"
            self._reply(request.id, error={"class": "CommandNotFound", "desc": unknown})
        else:
            self._reply(request.id, result=list(lines))

    def _reply(self, id_: str | None, **outcome: Any) -> None:
        # a queue of their own: who asks without end crowds out no event
        topic = self._hub.topics(self._name).reply
        self._hub.outbox.add(f"{self._name}/command", topic, self._payloads.reply(id_, **outcome))
        self._hub.wake()
