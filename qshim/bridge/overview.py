"""The table of `qshim watch`: what the messages of all bridges on a broker say about machines now.

Anybody may publish anything there, so a message that is none of ours is passed over, and there is a limit to how
many machines are shown.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from qshim.bridge.payloads import ONLINE, SCHEMA
from qshim.bridge.topics import unescaped

__all__ = ["COLUMNS", "Overview", "Row", "filters"]

COLUMNS = ("host", "machine", "state", "layout", "RAM", "cross-check", "check")
_MOST_ROWS = 5000
_LONGEST = 40
_VALUES = ("state", "layout", "crosscheck", "check")


@dataclass(frozen=True, slots=True)
class Row:
    """One machine; texts are printable."""

    host: str
    machine: str
    state: str = "-"
    layout: str = "-"
    used_bytes: int | None = None
    crosscheck: str = "-"
    check: str = "-"
    online: bool | None = None
    """Whether the bridge of its host is there; None where nobody said."""


def filters(prefix: str) -> tuple[str, ...]:
    """What to subscribe to."""
    return (f"{prefix}/+/status", f"{prefix}/+/dropped", *(f"{prefix}/+/+/{value}" for value in _VALUES))


class Overview:
    """Takes messages, gives rows."""

    def __init__(self, prefix: str) -> None:
        self._prefix = f"{prefix}/"
        self._rows: dict[tuple[str, str], Row] = {}
        self._hosts: dict[str, bool] = {}
        self._dropped: dict[str, int] = {}
        self.passed_over = 0
        """Messages that were none of ours."""

    @property
    def rows(self) -> tuple[Row, ...]:
        """All machines, by host and name; what a host that is gone said last is marked."""
        return tuple(replace(row, online=self._hosts.get(key[0])) for key, row in sorted(self._rows.items()))

    @property
    def dropped(self) -> int:
        """Events that bridges lost."""
        return sum(self._dropped.values())

    def receive(self, topic: str, payload: bytes) -> bool:
        """Take a message; whether the table may look different now."""
        levels = topic.removeprefix(self._prefix).split("/") if topic.startswith(self._prefix) else []
        try:
            if len(levels) == 2:
                self._of_host(levels[0], levels[1], payload)
            elif len(levels) == 3 and levels[2] in _VALUES:
                self._of_machine(levels[0], levels[1], levels[2], payload)
            else:
                return False
        except (ValueError, TypeError, LookupError, RecursionError):
            self.passed_over += 1
            return False
        return True

    def _of_host(self, host: str, value: str, payload: bytes) -> None:
        known = self._hosts.keys() if value == "status" else self._dropped.keys()
        if host not in known and len(known) >= _MOST_ROWS:
            raise ValueError("too many hosts")
        if not payload:
            self._hosts.pop(host, None)
        elif value == "status":
            self._hosts[host] = payload == ONLINE
        else:
            self._dropped[host] = int(_document(payload)["total"])

    def _of_machine(self, host: str, machine: str, value: str, payload: bytes) -> None:
        key = (host, machine)
        row = self._rows.get(key, Row(_shown(unescaped(host)), _shown(unescaped(machine))))
        if not payload:
            self._rows.pop(key, None)
            return
        if key not in self._rows and len(self._rows) >= _MOST_ROWS:
            raise ValueError("too many machines")
        document = _document(payload)
        if value == "state":
            row = replace(row, state=_shown(document["status"] or "unreachable"))
        elif value == "layout":
            used = document["totals"] and int(document["totals"]["used_bytes"])
            row = replace(row, layout=_shown((document["digest"] or "unknown")[:12]), used_bytes=used)
        elif value == "crosscheck":
            row = replace(row, crosscheck=_shown(document["verdict"]))
        else:
            row = replace(row, check=_shown(document["verdict"]))
        self._rows[key] = row


def _document(payload: bytes) -> dict[str, Any]:
    document = json.loads(payload.decode())
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise ValueError("not ours")
    return document


def _shown(value: object) -> str:
    """*value* on one line of a terminal, without what would move its cursor."""
    text = "".join(c if c.isprintable() else "?" for c in str(value))
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
