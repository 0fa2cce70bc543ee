"""What waits for the broker: retained values, of which only the last counts, and events, which are kept in order.

A value that changes while nobody takes it is replaced, so there are never more than one for each topic. Events wait in
one queue for each machine, which are emptied in turn. When there are too many, the oldest of the machine that has
most goes, and is counted: a machine that floods costs the others nothing.

A message that was taken is in flight until it is `delivered`. When the connection is `lost`, events in flight go back
to where they were: the broker may have got them all the same, so readers can tell by their sequence number.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Outbox", "Outgoing"]


@dataclass(frozen=True, slots=True, eq=False)
class Outgoing:
    """One message for the broker."""

    topic: str
    payload: bytes
    machine: str | None = None
    """Whose event it is; None for a retained value."""

    @property
    def retain(self) -> bool:
        """Whether the broker keeps it for whoever subscribes later."""
        return self.machine is None


class Outbox:
    """Messages that wait, with a limit."""

    def __init__(self, events: int, size: int) -> None:
        """At most *events* events of *size* bytes in all wait or are in flight; retained values are not counted."""
        self._most_events = events
        self._most_bytes = size
        self._values: dict[str, bytes] = {}
        self._unsent: dict[str, None] = {}
        self._queues: OrderedDict[str, deque[Outgoing]] = OrderedDict()
        self._flying: dict[Outgoing, None] = {}
        self._dropped: dict[str, int] = {}
        self.events = 0
        """Events that wait or are in flight."""
        self.size = 0
        """Bytes of them."""

    @property
    def dropped(self) -> Mapping[str, int]:
        """Machine -> how many of its events are lost."""
        return self._dropped

    @property
    def empty(self) -> bool:
        """Whether nothing waits and nothing is in flight."""
        return not (self._unsent or self.events or self._flying)

    def retain(self, topic: str, payload: bytes) -> None:
        """*topic* has the value *payload* from now on; an empty one takes it away."""
        if self._values.get(topic) != payload:
            self._values[topic] = payload
            self._unsent[topic] = None

    def repeat(self, topic: str) -> None:
        """Send the value of *topic* again, though it did not change."""
        if topic in self._values:
            self._unsent[topic] = None

    def add(self, machine: str, topic: str, payload: bytes) -> None:
        """An event of *machine*."""
        self._queues.setdefault(machine, deque()).append(Outgoing(topic, payload, machine))
        self.events += 1
        self.size += len(payload)
        while self.events > self._most_events or self.size > self._most_bytes:
            if not self._drop():
                break

    def take(self) -> Outgoing | None:
        """The next message to send, which is then in flight; None where nothing waits."""
        message = self._next()
        if message is not None:
            self._flying[message] = None
        return message

    def delivered(self, message: Outgoing) -> None:
        """The broker has *message*."""
        if message not in self._flying:
            return
        del self._flying[message]
        if message.retain:
            gone = not message.payload and self._values.get(message.topic) == b""
            if gone and message.topic not in self._unsent:
                del self._values[message.topic]
        else:
            self.events -= 1
            self.size -= len(message.payload)

    def lost(self) -> None:
        """The connection is gone: what was in flight waits again, and every retained value has to be told anew."""
        for message in reversed(self._flying):
            if message.machine is not None:
                self._queues.setdefault(message.machine, deque()).appendleft(message)
        self._flying.clear()
        self._unsent = dict.fromkeys(self._values)

    def _next(self) -> Outgoing | None:
        if self._unsent:
            topic = next(iter(self._unsent))
            del self._unsent[topic]
            return Outgoing(topic, self._values[topic])
        if not self._queues:
            return None
        machine, queue = next(iter(self._queues.items()))
        message = queue.popleft()
        if queue:
            self._queues.move_to_end(machine)
        else:
            del self._queues[machine]
        return message

    def _drop(self) -> bool:
        """Forget the oldest waiting event of the machine that has most; False where all are in flight."""
        if not self._queues:
            return False
        machine = max(self._queues, key=lambda m: len(self._queues[m]))
        queue = self._queues[machine]
        message = queue.popleft()
        if not queue:
            del self._queues[machine]
        self.events -= 1
        self.size -= len(message.payload)
        self._dropped[machine] = self._dropped.get(machine, 0) + 1
        return True
