"""One QMP connection, without a socket: bytes in, bytes out (spec/monitor.md 1.2 to 1.5, 1.9, 1.11).

The session owns the conversation: greeting, negotiation, request objects, ids, error classes,
events. Commands are rows of a table. Requests are answered strictly in order, one after the other,
and none is begun while the peer does not read (`pause`), so that a flood costs its own bytes only.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from qshim.monitor.json import JsonError, Scanner, dumps
from qshim.monitor.qmp.control import query_version
from qshim.monitor.qmp.table import QMP
from qshim.monitor.registry import CommandError
from qshim.qom.qdict import hash_order
from qshim.vm import MonitorState

if TYPE_CHECKING:
    from qshim.events import Event
    from qshim.monitor.schema import Schema
    from qshim.monitor.schema.visit import Visitor
    from qshim.vm import Vm

__all__ = ["QmpMonitor", "QmpSession"]

_QUEUE = 8
"""Requests that may wait while another is carried out; then QEMU reads no further (monitor.md 1.9)."""
_OK: Mapping[str, object] = {}


class QmpMonitor:
    """What a monitor keeps when its client goes and another comes."""

    def __init__(self, *, oob: bool = True, state: MonitorState | None = None) -> None:
        """*oob*: the kind of chardev lets the monitor offer out-of-band execution (monitor.md 1.2).

        *state*: what its object says of it; None where it has no object.
        """
        self.oob = oob
        self.state = state or MonitorState("", control=True)
        self.fds: dict[str, int] = {}
        """Descriptors by the name that getfd gave them."""
        self.passed: list[int] = []
        """Descriptors that came with input and that no command has taken yet."""

    def take(self, fds: Sequence[int]) -> None:
        """*fds* came with input; those before them that nobody took are closed."""
        self.forget()
        self.passed.extend(fds)

    def forget(self) -> None:
        """Close the descriptors that no command took."""
        for fd in self.passed:
            with suppress(OSError):
                os.close(fd)
        self.passed.clear()


class _Plan(NamedTuple):
    """How a command of this QEMU is carried out; *handler* None: not modelled; *visitor* None: it checks by itself."""

    visitor: Visitor | None
    handler: Callable[[Vm, Mapping[str, object]], object] | None
    oob: bool


class QmpSession:
    """From the greeting to the end of one connection."""

    def __init__(
        self, vm: Vm, send: Callable[[bytes], object], *, pretty: bool = False, monitor: QmpMonitor | None = None
    ) -> None:
        """*send* takes bytes for the peer, one whole message at a time. *pretty*: print over several lines.

        *monitor*: what earlier clients left, and whether it prints so; None: nothing.
        """
        self._monitor = monitor or QmpMonitor(state=MonitorState("", control=True, pretty=pretty))
        self._vm = vm
        self._send = send
        self._scanner = Scanner(vm.quirks.json_incremental)
        self._waiting: deque[object] = deque()
        self._unread: deque[object] = deque()
        self._known: Schema | None = None
        self._plans: dict[str, _Plan] = {}
        self._negotiated = False
        self._oob = False
        self._paused = False
        self._active = False

    def start(self) -> None:
        """The peer is there: greet it."""
        capabilities = ["oob"] if self._monitor.oob else []
        self._put({"QMP": {"version": query_version(self._vm, {}), "capabilities": capabilities}})

    def stop(self) -> None:
        """The peer is gone: forget what it asked and take no more events."""
        self._waiting.clear()
        self._unread.clear()
        self._monitor.forget()
        self._vm.unsubscribe(self._on_event)

    def receive(self, data: bytes, fds: Sequence[int] = ()) -> None:
        """Take input in any chunking and answer what it completes; *fds* came with it and are the session's now."""
        if fds:
            self._monitor.take(fds)
        items = self._scanner.feed(data)
        if self._waiting or self._paused or self._active:
            self._unread.extend(items)
            self._read()
        elif len(items) == 1 and not self._vm.ended:
            self._answer(items[0])
        elif items:
            self._waiting.extend(items)
            self._work()

    def _read(self) -> None:
        """Queue what was read, as far as the queue goes; out-of-band requests overtake it."""
        while self._unread and (not self._oob or len(self._waiting) < _QUEUE):
            item = self._unread.popleft()
            if self._oob and isinstance(item, dict) and "exec-oob" in item and not self._vm.ended:
                self._answer(item)
            else:
                self._waiting.append(item)

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
        return bool(self._waiting or self._unread)

    def _work(self) -> None:
        self._active = True
        try:
            while self._waiting and not self._paused and not self._vm.ended:
                request = self._waiting.popleft()
                if self._unread:
                    self._read()
                self._answer(request)
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
        if self._vm.failure is not None:
            # QEMU has exited by now
            return
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
            return self._negotiate(self._schema.visitor(name).check(arguments))
        plan = self._plans.get(name) or self._plan(name)
        if oob and not plan.oob:
            raise CommandError(f"The command {name} does not support OOB")
        if self._vm.preconfig is not None:
            _check_permitted(name)
        if plan.visitor is not None:
            arguments = plan.visitor.check(arguments)
        if plan.handler is None:
            raise CommandError(f"{name} is not modelled by qshim")
        vm = self._vm
        vm.fds, vm.passed, vm.monitor = self._monitor.fds, self._monitor.passed, self._monitor.state
        return plan.handler(vm, arguments)

    @property
    def _schema(self) -> Schema:
        if self._known is None:
            from qshim.monitor.qmp.extensions import schema_for

            self._known = schema_for(self._vm)
        return self._known

    def _plan(self, name: str) -> _Plan:
        """How *name* is carried out.

        :raises CommandError: this QEMU has no such command, or not any more.
        """
        if name == "qmp_capabilities":
            raise CommandError("Capabilities negotiation is already complete, command ignored", "CommandNotFound")
        entity = self._schema.command(name)
        if entity is None:
            raise CommandError(f"The command {name} has not been found", "CommandNotFound")
        # not before the first command: the greeting waits for none of them
        from qshim.monitor.qmp import families  # noqa: F401

        row = QMP.find(name)
        visitor = None if row is not None and row.own_checks else self._schema.visitor(name)
        plan = _Plan(visitor, None if row is None else row.handler, bool(entity.get("allow-oob")))
        self._plans[name] = plan
        return plan

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
        pretty = self._monitor.state.pretty
        text = dumps(message, pretty)
        if pretty:
            text = text.replace("\n", "\r\n")
        self._send(f"{text}\r\n".encode("ascii"))


def _check_permitted(name: str) -> None:
    """:raises CommandError: the command *name* has to wait for the machine."""
    from qshim.monitor.qmp.preconfig import PERMITTED

    if name not in PERMITTED:
        raise CommandError(f"The command '{name}' is permitted only after machine initialization has completed")


def _error(desc: str, class_: str = "GenericError") -> dict[str, object]:
    return {"error": {"class": class_, "desc": desc}}
