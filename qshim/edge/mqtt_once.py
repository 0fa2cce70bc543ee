"""One message to a broker, or one from it."""

from __future__ import annotations

import asyncio

from qshim.bridge.broker import Access
from qshim.edge.mqtt import LinkLost, connected
from qshim.errors import RecordingError

__all__ = ["publish_once", "retained"]

_PUBLISH_SECONDS = 30.0
_ANSWER_SECONDS = 3.0
"""For what the broker has kept to come; it comes with the answer to the subscription, or there is nothing."""


async def publish_once(access: Access, topic: str, payload: bytes) -> None:
    """Publish one retained message, without a last will, and go.

    :raises UsageError: no MQTT library is installed, or a file for TLS cannot be read.
    :raises LinkLost: the broker cannot be reached, refuses us, or does not say that it has the message.
    """
    try:
        async with asyncio.timeout(_PUBLISH_SECONDS), connected(access) as link:
            await link.publish(topic, payload, retain=True)
    except TimeoutError:
        raise LinkLost(f"{access.broker} did not take a message within {_PUBLISH_SECONDS:g} s") from None


async def retained(access: Access, topic: str) -> bytes:
    """What the broker has kept on *topic*.

    :raises UsageError: no MQTT library is installed, or a file for TLS cannot be read.
    :raises LinkLost: the broker cannot be reached, or refuses us.
    :raises RecordingError: there is nothing.
    """
    async with connected(access) as link:
        await link.subscribe(topic)
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                async for message in link.messages():
                    if message.retain and message.topic == topic:
                        return message.payload
        except TimeoutError:
            pass
    raise RecordingError(f"{access.broker} has kept nothing on {topic}; is a bridge there, and the name right?")
