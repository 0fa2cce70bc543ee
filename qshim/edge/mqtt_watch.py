"""Listening to what bridges publish."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from contextlib import suppress

from qshim.bridge.backoff import Backoff
from qshim.bridge.broker import Access
from qshim.bridge.overview import Overview, filters
from qshim.edge.mqtt import Link, LinkLost, NotAdmitted, connected

__all__ = ["look", "watch"]

_FIRST_SECONDS, _MOST_SECONDS = 0.5, 10.0
_REDRAW_SECONDS = 0.25
_QUIET_SECONDS = 0.5
"""Retained messages come at once after the subscription; when nothing comes any more, all are there."""
_LOOK_SECONDS = 10.0


async def watch(access: Access, overview: Overview, draw: Callable[[str | None], None]) -> None:
    """Keep *overview* up to date until SIGTERM, SIGINT or SIGHUP.

    *draw* is called with None after changes, at most four times a second, or with the reason why nothing comes.

    :raises UsageError: no MQTT library is installed, or a file for TLS cannot be read.
    :raises NotAdmitted: the broker does not let us in when we come for the first time.
    """
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, task.cancel)
    backoff = Backoff(_FIRST_SECONDS, _MOST_SECONDS)
    met = False
    with suppress(asyncio.CancelledError):
        while True:
            try:
                async with connected(access) as link:
                    met = True
                    backoff.reset()
                    await _listen(link, access, overview, draw)
            except LinkLost as error:
                if isinstance(error, NotAdmitted) and not met:
                    raise
                draw(str(error))
                await asyncio.sleep(backoff.wait())


async def look(access: Access, overview: Overview) -> None:
    """Fill *overview* with what the broker has kept.

    :raises UsageError: no MQTT library is installed, or a file for TLS cannot be read.
    :raises LinkLost: the broker cannot be reached.
    """
    async with connected(access) as link:
        loop = asyncio.get_running_loop()
        quiet = loop.time() + _QUIET_SECONDS
        until = loop.time() + _LOOK_SECONDS

        async def listen() -> None:
            nonlocal quiet
            async for message in link.messages():
                if message.retain:
                    overview.receive(message.topic, message.payload)
                    quiet = loop.time() + _QUIET_SECONDS

        listening = asyncio.create_task(listen())
        try:
            for each in filters(access.broker.prefix):
                await link.subscribe(each)
            while not listening.done() and (now := loop.time()) < min(quiet, until):
                await asyncio.wait((listening,), timeout=quiet - now)
            if listening.done():
                listening.result()
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


async def _listen(link: Link, access: Access, overview: Overview, draw: Callable[[str | None], None]) -> None:
    loop = asyncio.get_running_loop()
    for each in filters(access.broker.prefix):
        await link.subscribe(each)
    due: asyncio.TimerHandle | None = None

    def redraw() -> None:
        nonlocal due
        due = None
        draw(None)

    redraw()
    try:
        async for message in link.messages():
            if overview.receive(message.topic, message.payload) and due is None:
                due = loop.call_later(_REDRAW_SECONDS, redraw)
    finally:
        if due is not None:
            due.cancel()
