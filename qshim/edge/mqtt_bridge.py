"""The bridge: machines on one side, a broker on the other, and what is between them while one of them is away."""

from __future__ import annotations

import asyncio
import logging
import secrets
import signal
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from qshim.bridge import discovery
from qshim.bridge.backoff import Backoff
from qshim.bridge.broker import Access
from qshim.bridge.commands import AllowList
from qshim.bridge.defaults import POLL, QUEUE
from qshim.bridge.outbox import Outbox, Outgoing
from qshim.bridge.payloads import OFFLINE, ONLINE, Limits, dropped
from qshim.bridge.topics import MachineTopics, Names, Topics, stem
from qshim.edge.mqtt import WINDOW, Link, LinkLost, NotAdmitted, Will, check, connected
from qshim.edge.mqtt_feed import Attach, Feed
from qshim.edge.real_qemu import attached, parse_address
from qshim.errors import UsageError

__all__ = ["Bridge", "Options", "bridge_attached", "log_bridge_to_stderr"]

_ROLL_CALL_SECONDS = 7.0
"""How long machines wait for each other before they get names: a monitor in use is known after five."""

_READINGS = 4
"""Layouts that are read at the same time."""

_FIRST_SECONDS, _MOST_SECONDS = 0.5, 30.0
_FAREWELL_SECONDS = 5.0
_COUNT_SECONDS = 1.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Options:
    """How a bridge behaves."""

    host: str
    poll: float = POLL
    """Seconds after which a layout is read again without any event: QEMU tells of no device that was added."""
    queue: int = QUEUE
    """Events that wait while the broker is away."""
    queue_bytes: int = 64 << 20
    limits: Limits = field(default_factory=Limits)
    allowed: AllowList | None = None
    """Commands that may come from the broker; None: there is no command topic."""
    home_assistant: str | None = None
    """The prefix under which Home Assistant is told of machines; None: it is not."""


class Bridge:
    """Tells a broker about machines. It is the `Hub` of its feeds."""

    def __init__(self, access: Access, options: Options) -> None:
        """
        :raises UsageError: no MQTT library is installed, or a file for TLS cannot be read.
        """
        check(access)
        self.host = options.host
        self.limits = options.limits
        self.poll = options.poll
        self.allowed = options.allowed
        self.session = secrets.token_hex(8)
        self.readings = asyncio.Semaphore(_READINGS)
        self.outbox = Outbox(options.queue, options.queue_bytes)
        self._access = access
        self._topics = Topics(access.broker.prefix, options.host)
        self._home_assistant = options.home_assistant
        self._feeds: list[Feed] = []
        self._names = Names()
        self._answered: dict[Feed, str | None] = {}
        self._roll_called = asyncio.Event()
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._lost: str | None = None
        self._counted = 0
        self._counting: asyncio.TimerHandle | None = None
        self.outbox.retain(self._topics.status, ONLINE)

    def add(self, address: str, attach: Attach, stem: str) -> None:
        """A machine, before `run`; see `Feed`."""
        self._feeds.append(Feed(self, address, attach, stem))

    def stop(self) -> None:
        """Send what waits, say `offline`, and let `run` return."""
        self._stopping.set()
        self._wake.set()

    async def run(self) -> None:
        """Until `stop`.

        :raises NotAdmitted: the broker does not let us in when we come for the first time.
        """
        feeds = [asyncio.create_task(feed.run()) for feed in self._feeds]
        talking = asyncio.create_task(self._keep_talking())
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            done, _ = await asyncio.wait((*feeds, talking, stopping), return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            # nothing new is to come behind `offline`
            await _ended(feeds)
            await asyncio.wait((talking,), timeout=2 * _FAREWELL_SECONDS)
            if talking.done():
                talking.result()
        finally:
            await _ended((*feeds, talking, stopping))

    # what feeds ask for

    def topics(self, name: str) -> MachineTopics:
        """Of the machine *name*."""
        return self._topics.machine(name)

    def wake(self) -> None:
        """There is something to send."""
        self._wake.set()

    async def name(self, feed: Feed, wanted: str | None) -> str:
        """The name of *feed*: *wanted*, or its stem, numbered where another machine has it.

        Names are given in the order in which machines were added, as soon as each has answered or failed once, so
        that a bridge that starts again gives the same ones.
        """
        if not self._roll_called.is_set():
            self._answered[feed] = wanted
            if len(self._answered) == len(self._feeds):
                self._call_roll()
            with suppress(TimeoutError):
                async with asyncio.timeout(_ROLL_CALL_SECONDS):
                    await self._roll_called.wait()
            self._call_roll()
        return self._names.claim(feed, wanted or feed.stem)

    def _call_roll(self) -> None:
        if not self._roll_called.is_set():
            self._roll_called.set()
            for feed in self._feeds:
                if feed in self._answered:
                    self._names.claim(feed, self._answered[feed] or feed.stem)

    def renamed(self, before: str | None, now: str) -> None:
        """A machine that was called *before* is called *now*: take away what stands under the old name."""
        if before is not None:
            old = self.topics(before)
            gone = [old.state, old.layout, old.full]
            if self._home_assistant is not None:
                gone += discovery.withdrawals(self._topics, before, self._home_assistant)
            for topic in gone:
                self.outbox.retain(topic, b"")
        self._announce(now)

    def _announce(self, name: str) -> None:
        if self._home_assistant is not None:
            for topic, payload in discovery.announcements(self._topics, name, self._home_assistant):
                self.outbox.retain(topic, payload)
            self.wake()

    # the broker

    async def _keep_talking(self) -> None:
        backoff = Backoff(_FIRST_SECONDS, _MOST_SECONDS)
        met = False
        while not self._stopping.is_set():
            try:
                async with connected(self._access, Will(self._topics.status, OFFLINE)) as link:
                    _log.info("connected to %s", self._access.broker)
                    self._lost = None
                    met = True
                    backoff.reset()
                    await self._talk(link)
            except (LinkLost, UsageError) as error:
                # a certificate that is just being replaced is no reason to leave
                if not met and isinstance(error, (UsageError, NotAdmitted)):
                    raise
                if self._lost is None:
                    _log.warning("%s; trying again", error)
                self._lost = str(error)
                self.outbox.lost()
                with suppress(TimeoutError):
                    async with asyncio.timeout(backoff.wait()):
                        await self._stopping.wait()

    async def _talk(self, link: Link) -> None:
        """Send and receive until told to stop, or until the connection is lost."""
        filters = [self._topics.status]
        if self.allowed is not None:
            filters.append(self._topics.commands)
        if self._home_assistant is not None:
            filters.append(f"{self._home_assistant}/{discovery.BIRTH}")
        # who sees a machine may ask it, and whoever asks at once is heard
        for each in filters:
            await link.subscribe(each)
        tasks = [asyncio.create_task(self._receive(link)), asyncio.create_task(self._send(link))]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await _ended(tasks)

    async def _receive(self, link: Link) -> None:
        by_topic: dict[str, Feed] = {}
        async for message in link.messages():
            if message.topic == self._topics.status:
                # the last will of a connection that we had before, or another bridge of this host that ended
                if message.payload == OFFLINE and not self._stopping.is_set():
                    self._tell_again(self._topics.status)
            elif message.topic.startswith(self._topics.base):
                if message.topic not in by_topic:
                    by_topic = {self.topics(feed.named).command: feed for feed in self._feeds if feed.named}
                feed = by_topic.get(message.topic)
                if feed is not None:
                    feed.request(message.payload, retained=message.retain)
            elif message.payload == ONLINE and not message.retain:
                for feed in self._feeds:
                    if feed.named is not None:
                        for topic, _ in discovery.announcements(self._topics, feed.named, self._home_assistant or ""):
                            self._tell_again(topic)

    def _tell_again(self, topic: str) -> None:
        self.outbox.repeat(topic)
        self.wake()

    async def _send(self, link: Link) -> None:
        """Keep messages in flight until there are none and we are to stop."""
        flying: dict[asyncio.Task[None], Outgoing] = {}
        failed: list[BaseException] = []

        def landed(task: asyncio.Task[None]) -> None:
            message = flying.pop(task)
            if task.cancelled():
                return
            error = task.exception()
            if error is None:
                self.outbox.delivered(message)
            else:
                failed.append(error)
            self._wake.set()

        def give_up() -> None:
            failed.append(LinkLost(f"{self._access.broker} did not take all that waited"))
            self._wake.set()

        farewell: asyncio.TimerHandle | None = None
        said = False
        try:
            while True:
                self._wake.clear()
                self._count_dropped()
                while len(flying) < WINDOW and (message := self.outbox.take()) is not None:
                    task = asyncio.create_task(link.publish(message.topic, message.payload, retain=message.retain))
                    flying[task] = message
                    task.add_done_callback(landed)
                if self._stopping.is_set():
                    if farewell is None:
                        farewell = asyncio.get_running_loop().call_later(_FAREWELL_SECONDS, give_up)
                    if self.outbox.empty and said:
                        return
                    if self.outbox.empty:
                        said = True
                        self.outbox.retain(self._topics.status, OFFLINE)
                        continue
                await self._wake.wait()
                if failed:
                    raise failed[0]
        finally:
            if farewell is not None:
                farewell.cancel()
            await _ended(tuple(flying))

    def _count_dropped(self) -> None:
        """Publish how many events were lost, at most once a second."""
        lost = sum(self.outbox.dropped.values())
        if lost == self._counted or self._counting is not None:
            return

        def again() -> None:
            self._counting = None
            self._wake.set()

        self._counting = asyncio.get_running_loop().call_later(_COUNT_SECONDS, again)
        self._counted = lost
        _log.warning("%d events were dropped since the start", lost)
        self.outbox.retain(self._topics.dropped, dropped(self.host, self.outbox.dropped))


async def bridge_attached(access: Access, options: Options, addresses: Sequence[str]) -> None:
    """Bridge the QMP monitors at *addresses* until SIGTERM, SIGINT or SIGHUP.

    :raises UsageError: an address is none, no MQTT library is installed, or a file for TLS cannot be read.
    :raises NotAdmitted: the broker does not let us in.
    """
    bridge = Bridge(access, options)
    for address in addresses:
        parse_address(address)
        bridge.add(address, partial(attached, address), stem(address))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, bridge.stop)
    await bridge.run()


def log_bridge_to_stderr(level: str) -> None:
    """Print what the bridge has to say of *level* (`debug`, `info`, `warning`, `error`) and above on stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("qshim: %(message)s"))
    # not the root: libraries have their own opinion of what is worth a warning
    log = logging.getLogger("qshim")
    log.addHandler(handler)
    log.setLevel(level.upper())
    log.propagate = False


async def _ended(tasks: Sequence[asyncio.Task[None] | asyncio.Task[bool]]) -> None:
    """Cancel *tasks* and wait until they are over; how they ended was looked at before, or does not matter."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
