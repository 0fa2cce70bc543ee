"""What Home Assistant is told, so that machines turn up there by themselves (its MQTT discovery).

Each machine is a device with five entities. An empty message under the same topic takes one away.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from hashlib import sha256
from typing import NamedTuple

from qshim.bridge.defaults import DISCOVERY
from qshim.bridge.payloads import encoded
from qshim.bridge.topics import Topics

__all__ = ["BIRTH", "announcements", "withdrawals"]

BIRTH = "status"
"""Below the prefix: Home Assistant says `online` there when it starts, and wants to be told again."""

_NO_ID = re.compile(r"[^A-Za-z0-9_-]")


class _Entity(NamedTuple):
    component: str
    object: str
    name: str
    topic: str
    template: str
    icon: str
    payload_on: str | None = None


_ENTITIES = (
    _Entity("sensor", "state", "State", "state", "{{ value_json.status or 'unreachable' }}", "mdi:play-pause"),
    _Entity("binary_sensor", "attached", "Monitor", "state", "{{ value_json.attached }}", "mdi:connection", "True"),
    _Entity("sensor", "layout", "Memory layout", "layout",
            "{{ (value_json.digest or 'unknown')[:12] }}", "mdi:memory"),
    _Entity("sensor", "crosscheck", "Cross-check", "crosscheck", "{{ value_json.verdict }}", "mdi:compare"),
    _Entity("sensor", "check", "Layout check", "check", "{{ value_json.verdict }}", "mdi:check-decagram"),
)  # fmt: skip


def announcements(topics: Topics, vm: str, prefix: str = DISCOVERY) -> Iterator[tuple[str, bytes]]:
    """(topic, message) for each entity of the machine *vm*; all are to be retained."""
    node = _node(topics, vm)
    device = {"identifiers": [node], "name": f"{vm} on {topics.host}", "manufacturer": "QEMU", "model": "qshim bridge"}
    for entity in _ENTITIES:
        document = {
            "name": entity.name,
            "unique_id": f"{node}_{entity.object}",
            "object_id": f"{node}_{entity.object}",
            "state_topic": f"{topics.machine(vm).base}/{entity.topic}",
            "value_template": entity.template,
            "availability_topic": topics.status,
            "payload_available": "online",
            "payload_not_available": "offline",
            "icon": entity.icon,
            "device": device,
            "origin": {"name": "qshim"},
        }
        if entity.payload_on is not None:
            document |= {"payload_on": entity.payload_on, "payload_off": "False", "device_class": "connectivity"}
            del document["icon"]
        yield _topic(prefix, entity, node), encoded(document)


def withdrawals(topics: Topics, vm: str, prefix: str = DISCOVERY) -> Iterator[str]:
    """The topics under which an empty message takes the entities of *vm* away."""
    for entity in _ENTITIES:
        yield _topic(prefix, entity, _node(topics, vm))


def _topic(prefix: str, entity: _Entity, node: str) -> str:
    return f"{prefix}/{entity.component}/{node}/{entity.object}/config"


def _node(topics: Topics, vm: str) -> str:
    """An id of the letters that Home Assistant takes; the hash tells apart what the letters do not."""
    base = topics.machine(vm).base
    return f"{_NO_ID.sub('_', base)[:80]}_{sha256(base.encode()).hexdigest()[:8]}"
