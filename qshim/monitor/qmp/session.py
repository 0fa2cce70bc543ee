"""One QMP connection, without a socket: bytes in, bytes out (spec/monitor.md 1.2 to 1.5, 1.9, 1.11).

The session owns the conversation: greeting, negotiation, request objects, ids, error classes,
events. Commands are rows of a table. Requests are answered strictly in order, one after the other,
and none is begun while the peer does not read (`pause`), so that a flood costs its own bytes only.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from qshim.monitor.json import JsonError, Scanner, dumps
from qshim.monitor.json.writer import hash_order
from qshim.monitor.names import known_qmp
from qshim.monitor.qmp import control, introspect
from qshim.monitor.qmp.arguments import Argument, Choice, ListOf, check
from qshim.monitor.qmp.table import QMP
from qshim.monitor.registry import CommandError

if TYPE_CHECKING:
    from qshim.vm import Event, Vm

__all__ = ["QmpSession"]

# imported for the rows they enter
_FAMILIES = (control, introspect)

_CAPABILITIES = (Argument("enable", ListOf(Choice(("oob",))), optional=True),)
_OOB_COMMANDS = ("migrate-pause", "migrate-recover", "query-yank", "yank")
_OK: Mapping[str, object] = {}


class QmpSession:
    """From the greeting to the end of one connection."""

    def __init__(self, vm: Vm, send: Callable[[bytes], object], *, pretty: bool = False) -> None:
        """*send* takes bytes for the peer, one whole message at a time. *pretty*: print over several lines."""
        self._vm = vm
        self._send = send
        self._pretty = pretty
        self._scanner = Scanner(vm.quirks.json_incremental)
        self._waiting: deque[object] = deque()
        self._negotiated = False
        self._oob = False
        self._paused = False
        self._active = False

    def start(self) -> None:
        """The peer is there: greet it."""
        capabilities = ["oob"]
        self._put({"QMP": {"version": control.query_version(self._vm, {}), "capabilities": capabilities}})

    def stop(self) -> None:
        """The peer is gone: forget what it asked and take no more events."""
        self._waiting.clear()
        self._vm.unsubscribe(self._on_event)

    def receive(self, data: bytes) -> None:
        """Take input in any chunking and answer what it completes."""
        items = self._scanner.feed(data)
        if self._waiting or self._paused or self._active:
            self._waiting.extend(items)
        elif len(items) == 1 and not self._vm.ended:
            self._answer(items[0])
        elif items:
            self._waiting.extend(items)
            self._work()

    def pause(self) -> None:
        """The peer does not read: begin no further request until `resume`."""
        self._paused = True

    def resume(self) -> None:
        """The peer reads again."""
        self._paused = False
        if not self._active:
            self._work()

    @property
    def busy(self) -> bool:
        """Whether requests wait to be answered."""
        return bool(self._waiting)

    def _work(self) -> None:
        self._active = True
        try:
            while self._waiting and not self._paused and not self._vm.ended:
                self._answer(self._waiting.popleft())
        finally:
            self._active = False

    def _answer(self, request: object) -> None:
        if isinstance(request, JsonError):
            self._put(_error(request.text))
            return
        if not isinstance(request, dict):
            self._put(_error("QMP input must be a JSON object"))
            return
        try:
            reply: dict[str, object] = {"return": self._execute(request)}
        except CommandError as error:
            reply = _error(error.desc, error.class_)
        if "id" in request:
            reply["id"] = request["id"]
        self._put(reply)

    def _execute(self, request: dict[str, object]) -> object:
        name, oob = self._request(request)
        arguments = request.get("arguments", _OK)
        assert isinstance(arguments, dict) or arguments is _OK
        if not self._negotiated:
            if name != "qmp_capabilities":
                raise CommandError("Expecting capabilities negotiation with 'qmp_capabilities'", "CommandNotFound")
            return self._negotiate(check(arguments, _CAPABILITIES))
        row = QMP.find(name, self._vm.quirks.label)
        if oob and name not in _OOB_COMMANDS and (row is not None or known_qmp(self._vm.quirks.label, name)):
            raise CommandError(f"The command {name} does not support OOB")
        if row is not None:
            return row.handler(self._vm, check(arguments, row.parameters))
        if name == "qmp_capabilities":
            raise CommandError("Capabilities negotiation is already complete, command ignored", "CommandNotFound")
        if known_qmp(self._vm.quirks.label, name):
            raise CommandError(f"{name} is not modelled by qshim")
        raise CommandError(f"The command {name} has not been found", "CommandNotFound")

    def _request(self, request: dict[str, object]) -> tuple[str, bool]:
        """The command's name and whether it is out-of-band; members are looked at in printing order."""
        name: str | None = None
        oob = False
        for key in request if len(request) == 1 else hash_order(tuple(request)):
            value = request[key]
            if key == "execute" or (key == "exec-oob" and self._oob):
                if not isinstance(value, str):
                    raise CommandError(f"QMP input member '{key}' must be a string")
                if name is not None:
                    raise CommandError("QMP input member 'execute' clashes with 'exec-oob'")
                name, oob = value, key == "exec-oob"
            elif key == "arguments":
                if not isinstance(value, dict):
                    raise CommandError("QMP input member 'arguments' must be an object")
            elif key != "id":
                raise CommandError(f"QMP input member '{key}' is unexpected")
        if name is None:
            raise CommandError("QMP input lacks member 'execute'")
        return name, oob

    def _negotiate(self, arguments: Mapping[str, object]) -> object:
        enable = arguments.get("enable", ())
        assert isinstance(enable, (list, tuple))
        self._oob = "oob" in enable
        self._negotiated = True
        self._vm.subscribe(self._on_event)
        return _OK

    def _on_event(self, event: Event) -> None:
        message: dict[str, object] = {
            "timestamp": {"seconds": event.seconds, "microseconds": event.microseconds},
            "event": event.name,
        }
        if event.data:
            message["data"] = event.data
        self._put(message)

    def _put(self, message: Mapping[str, object]) -> None:
        text = dumps(message, self._pretty)
        if self._pretty:
            text = text.replace("\n", "\r\n")
        self._send(f"{text}\r\n".encode("ascii"))


def _error(desc: str, class_: str = "GenericError") -> dict[str, object]:
    return {"error": {"class": class_, "desc": desc}}
