"""Requests that come from the broker: what they look like, and which of them reach a machine.

Whoever may publish on the broker may send one, so nothing is allowed that was not named. A pattern (`query-*`) stands
for commands that only read; one that changes a machine has to be named in full. `info` stands for the human
monitor's `info ...`, and nothing else reaches that monitor: human-monitor-command would be a way around the list.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import isfinite
from typing import Any, NoReturn

from qshim.errors import UsageError

__all__ = ["LARGEST", "AllowList", "Refusal", "Request", "read_request"]

LARGEST = 64 << 10
"""Bytes of a request."""

_READING = ("query-*", "x-query-*", "qom-list", "qom-list-get", "qom-get")
"""Commands that change nothing, files included. Not qom-list-types and device-list-properties, for which QEMU loads
modules, which changes a running QEMU and may end it."""

_NEVER = {
    "human-monitor-command": "write `info` for the human monitor's info commands; no others are passed on",
    "qmp_capabilities": "the bridge has negotiated already",
}
_MOST_ID = 128
_MOST_LINE = 1024
_DEEPEST = 32
_BREAKS_JSON = re.compile(r"[\x00\ud800-\udfff]")
"""QEMU's JSON has no such characters: it would answer with an error that no request can be told by."""

_NAME = re.compile(r"[A-Za-z0-9_-]+")
_PATTERN = re.compile(r"[A-Za-z0-9_*?-]+")


class Refusal(Exception):
    """A request that reaches no machine; its text says why, *id* is what the request was called, if anything."""

    def __init__(self, reason: str, id_: str | None = None) -> None:
        super().__init__(reason)
        self.id = id_


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody wants to know."""

    id: str
    """Comes back in the reply."""
    command: str
    """A QMP command, or `info`."""
    arguments: Mapping[str, Any]
    line: str | None = None
    """The whole line for the human monitor."""


class AllowList:
    """The commands of `--allow-commands`."""

    def __init__(self, patterns: str) -> None:
        """*patterns*: names and shell patterns, separated by commas.

        :raises UsageError: one of them is none, or can never be allowed.
        """
        self._patterns = tuple(pattern.strip() for pattern in patterns.split(","))
        for pattern in self._patterns:
            if _PATTERN.fullmatch(pattern) is None:
                raise UsageError(f"--allow-commands: {pattern!r} is neither a command nor a pattern such as query-*")
            if pattern in _NEVER:
                raise UsageError(f"--allow-commands: {pattern} cannot be allowed: {_NEVER[pattern]}")

    def refusal(self, request: Request) -> str | None:
        """Why *request* is refused; None where it may be carried out."""
        name = request.command
        if name in _NEVER:
            return f"{name} is never allowed: {_NEVER[name]}"
        if name in self._patterns:
            return None
        reads = name == "info" or any(fnmatchcase(name, known) for known in _READING)
        matching = [pattern for pattern in self._patterns if fnmatchcase(name, pattern)]
        if matching and reads:
            return None
        if matching:
            return f"{name} may change the machine, and {matching[0]} stands for commands that only read"
        return f"{name} is not allowed here; allowed: {', '.join(self._patterns)}"


def read_request(payload: bytes) -> Request:
    """The request in a message: `{"id": ..., "execute": ..., "arguments": {...}}` or `{"id": ..., "info": "mtree -f"}`.

    :raises Refusal: it is none.
    """
    if len(payload) > LARGEST:
        raise Refusal(f"a request of {len(payload)} bytes; it may have {LARGEST}")
    try:
        document = json.loads(payload.decode("utf-8"), parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise Refusal(f"no JSON: {str(error) or 'nested too deep'}") from None
    if not isinstance(document, dict):
        raise Refusal("a request is a JSON object")
    id_ = document.get("id")
    if not isinstance(id_, str) or not 0 < len(id_) <= _MOST_ID:
        raise Refusal(f"`id` has to be a string of 1 to {_MOST_ID} characters: the reply carries it")
    unknown = sorted(document.keys() - {"id", "execute", "arguments", "info"})
    if unknown:
        raise Refusal(f"unknown: {', '.join(unknown)[:200]}; it has id, and execute with arguments, or info", id_)
    if ("execute" in document) == ("info" in document):
        raise Refusal("a request has either `execute` or `info`", id_)
    return _info(document, id_) if "info" in document else _command(document, id_)


def _command(document: Mapping[str, Any], id_: str) -> Request:
    name, arguments = document["execute"], document.get("arguments", {})
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        raise Refusal("`execute` has to be the name of a QMP command", id_)
    if not isinstance(arguments, dict):
        raise Refusal("`arguments` has to be an object", id_)
    if name == "info":
        raise Refusal("the human monitor is asked with `info`, not with `execute`", id_)
    if not _is_plain(arguments):
        raise Refusal(
            f"`arguments` are nested deeper than {_DEEPEST}, or hold a number or a character that QEMU's JSON has not",
            id_,
        )
    return Request(id_, name, arguments)


def _info(document: Mapping[str, Any], id_: str) -> Request:
    topic = document["info"]
    if "arguments" in document:
        raise Refusal("`info` takes no `arguments`: they stand in its line", id_)
    if not isinstance(topic, str) or not topic.isprintable() or len(topic) > _MOST_LINE:
        raise Refusal(f"`info` has to be a line of at most {_MOST_LINE} printable characters", id_)
    return Request(id_, "info", {}, f"info {topic}".strip())


def _is_plain(value: object, depth: int = 0) -> bool:
    if isinstance(value, str):
        return _BREAKS_JSON.search(value) is None
    if isinstance(value, float):
        return isfinite(value)
    if isinstance(value, int):
        return -(1 << 63) <= value < 1 << 64
    if isinstance(value, dict):
        inner: Iterable[object] = (*value.keys(), *value.values())
    elif isinstance(value, list):
        inner = value
    else:
        return True
    return depth < _DEEPEST and all(_is_plain(each, depth + 1) for each in inner)


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON number")
