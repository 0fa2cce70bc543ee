"""Serving a machine: its monitors on their character devices, and the orderly end (spec/monitor.md 1.9 to 1.11)."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Protocol

from qshim.argv import Chardev as Device
from qshim.argv import CommandLine, OptionError
from qshim.edge.chardevs import Backend, Policy, backend
from qshim.edge.stream import Receiver, Stream
from qshim.monitor.hmp.telnet import OFFER, TelnetFilter
from qshim.monitor.mux import Mux, SilentPort, User
from qshim.monitor.qmp.session import QmpMonitor, QmpSession
from qshim.vm import Chardev, MonitorState, Vm

if TYPE_CHECKING:
    from qshim.monitor.hmp.table import Monitor as HumanMonitor

__all__ = ["Connection", "Faults", "Server", "log_to_stderr"]

_BASE = "-base"
"""Behind the id of a device with several users, for the device below the switch."""
_FAREWELL_SECONDS = 1.0
_GREETING_SECONDS = 0.01
_log = logging.getLogger(__name__)


class _Session(Protocol):
    def start(self) -> None: ...
    def stop(self) -> None: ...
    def receive(self, data: bytes, fds: Sequence[int] = ()) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...


class Faults(Protocol):
    """Who tampers with what a monitor says, for tests of clients."""

    def outgoing(self, connection: Connection, data: bytes) -> None:
        """*data* is about to be sent: pass it, or something else, to `connection.pass_on`."""


class Connection:
    """A client of one monitor: bytes to its session and back.

    At most one read, one reply and the write buffer are held: reading stops while the client does
    not take its replies.
    """

    def __init__(self, server: Server, seat: _Place, device: Backend, make: Callable[[Receiver], Stream]) -> None:
        self._server = server
        self._device = device
        self.label = device.device.id
        """The character device's id."""
        self._stream = make(self)
        self._seat = seat
        telnet = device.device.address is not None and device.device.address.telnet
        self._telnet = TelnetFilter() if telnet else None
        self.session: _Session = seat.session(server.vm, self._send)

    def start(self) -> None:
        """Greet."""
        if self._server.vm.ended:
            self._stream.close()
            return
        if self._telnet is not None:
            self._stream.write(OFFER)
        self._greet()

    def _greet(self) -> None:
        if self._seat.idle:
            # what comes stays where it is until somebody wants it
            return
        if self._device.device.kind == "udp" and not self._server.vm.quirks.udp_opens:
            # a device that never opens: QMP waits for that, the human monitor reads without a prompt
            if not isinstance(self.session, QmpSession):
                self._stream.start()
            return
        self.session.start()
        self._stream.start()

    def hand_to(self, seat: _Place) -> None:
        """From now on the client talks with *seat*."""
        self.session.stop()
        self._stream.rest()
        self._seat = seat
        self.session = seat.session(self._server.vm, self._send)
        self._greet()

    def _send(self, data: bytes) -> None:
        if self._server.faults is None:
            self._stream.write(data)
        else:
            self._server.faults.outgoing(self, data)

    def pass_on(self, data: bytes) -> None:
        """Send *data* as it is."""
        self._stream.write(data)

    def received(self, data: bytes, fds: Sequence[int]) -> None:
        """Input came."""
        if self._telnet is not None:
            data = self._telnet.feed(data)
        self.session.receive(data, fds)

    def pause(self) -> None:
        """The client does not read."""
        self.session.pause()

    def resume(self) -> None:
        """The client reads again."""
        self.session.resume()

    def close(self) -> None:
        """Hang up, after what is left to send."""
        self._stream.close()

    @property
    def unwritten(self) -> int:
        """Bytes that the client has not taken yet."""
        return self._stream.unwritten

    def abort(self) -> None:
        """Hang up now."""
        self._stream.abort()

    def lost(self) -> None:
        """The connection has ended."""
        self.session.stop()
        self._server.one_gone(self)
        self._device.released()
        self._seat.left()
        self._server.show_chardevs()


class _Place:
    """What a character device leads to."""

    idle = False
    """Nobody reads what comes."""

    def left(self) -> None:
        """The client has gone."""

    def session(self, vm: Vm, send: Callable[[bytes], object]) -> _Session:
        """Who talks with the next client."""
        raise NotImplementedError


class _Nobody(_Place):
    """A character device that was made by a monitor's command, and that nothing uses yet, or any more."""

    idle = True

    def session(self, vm: Vm, send: Callable[[bytes], object]) -> _Session:
        return SilentPort()


class _Seat(_Place):
    """A monitor: what it is, and what it keeps from client to client."""

    def __init__(
        self, state: MonitorState, *, kind: str, opens: bool = True, gone: Callable[[], None] | None = None
    ) -> None:
        """*kind* of character device; *gone* is called when a client has left."""
        self.state = state
        self.opens = opens
        self._gone = gone
        # the others cannot be moved to a thread of their own (monitor.md 1.2)
        oob = kind not in ("null", "ringbuf", "memory", "vc")
        self.control = QmpMonitor(oob=oob, state=state) if state.control else None
        self.human: HumanMonitor | None = None
        if not state.control:
            from qshim.monitor.hmp.table import Monitor as HumanMonitor

            self.human = HumanMonitor()

    def left(self) -> None:
        if self._gone is not None and self.state.close_action == "delete":
            self._gone()

    def session(self, vm: Vm, send: Callable[[bytes], object]) -> _Session:
        if self.control is not None:
            return QmpSession(vm, send, monitor=self.control)
        return self.user(vm, send)

    def user(self, vm: Vm, send: Callable[[bytes], object]) -> User:
        """The monitor as one of several users of its device."""
        if self.control is not None:
            return _MuxedControl(self, vm, send)
        # most machines have no human monitor, and a greeting waits for what is imported
        from qshim.monitor.hmp.session import HmpSession

        return HmpSession(vm, send, monitor=self.human, opens=self.opens, readline=self.state.readline)


class _MuxedControl(SilentPort):
    """A QMP monitor that shares its device: a new session for each client, whoever has the focus."""

    def __init__(self, seat: _Seat, vm: Vm, send: Callable[[bytes], object]) -> None:
        self._make = partial(seat.session, vm, send)
        self._session: _Session | None = None

    def start(self) -> None:
        self.stop()
        self._session = self._make()
        self._session.start()

    def stop(self) -> None:
        if self._session is not None:
            self._session.stop()
            self._session = None

    def receive(self, data: bytes, fds: Sequence[int] = ()) -> None:
        if self._session is not None:
            self._session.receive(data, fds)

    def pause(self) -> None:
        if self._session is not None:
            self._session.pause()

    def resume(self) -> None:
        if self._session is not None:
            self._session.resume()


class _Port(_Place):
    """A port of the machine with a device of its own."""

    def session(self, vm: Vm, send: Callable[[bytes], object]) -> _Session:
        return SilentPort()


class _Test(_Place):
    """The qtest server, which test programs drive the machine by; *path* as -qtest-log says."""

    def __init__(self, path: str | None) -> None:
        # few machines have one, and a greeting waits for what is imported
        from qshim.edge.qtestlog import QtestLog

        self.log = QtestLog(path)

    def session(self, vm: Vm, send: Callable[[bytes], object]) -> _Session:
        from qshim.monitor.qtest import Qtest, QtestSession

        server = Qtest(vm, clock=vm.test_clock)
        return QtestSession(server, send, self.log)


class _Shared(_Place):
    """A device with several users."""

    def __init__(self, vm: Vm, escape: int) -> None:
        self.mux = Mux(partial(vm.shutdown, "host-qmp-quit"), escape=escape)

    def session(self, vm: Vm, send: Callable[[bytes], object]) -> _Session:
        self.mux.serve(send)
        return self.mux


class Server:
    """The monitors of one machine."""

    def __init__(
        self,
        vm: Vm,
        line: CommandLine,
        policy: Policy | None = None,
        *,
        program: str = "qshim",
        faults: Faults | None = None,
    ) -> None:
        """*program* stands in front of what is said on stderr."""
        self.vm = vm
        self.program = program
        self.faults = faults
        self.connections: set[Connection] = set()
        self.first_greeted = asyncio.Event()
        self._ended = asyncio.Event()
        self._all_gone = asyncio.Event()
        self._policy = _with_objects(policy or Policy(), line)._replace(
            clients_name_peer=vm.quirks.unix_clients_name_peer
        )
        self.backends = [backend(_own(device), self._policy) for device in line.chardevs]
        self._used = {monitor.chardev for monitor in line.monitors}
        by_id = dict(zip((device.id for device in line.chardevs), self.backends, strict=True))
        self._shared = {device.id: _Shared(vm, line.escape) for device in line.chardevs if device.mux}
        for label, shared in self._shared.items():
            by_id[label].connected = partial(self._connected, shared)
        for monitor in line.monitors:
            state = MonitorState(
                monitor.chardev, control=monitor.control, pretty=monitor.pretty, readline=monitor.readline,
                close_action=monitor.close_action,
            )  # fmt: skip
            vm.monitors[monitor.name or monitor.chardev] = state
            self._seat(state, by_id[monitor.chardev])
        if line.qtest is not None:
            self._used.add(line.qtest)
            by_id[line.qtest].connected = partial(self._connected, _Test(line.qtest_log))
        for port in line.ports:
            if port.chardev in self._shared:
                # a machine without that port leaves the device to the monitor
                if vm.machine != "none":
                    self._shared[port.chardev].mux.attach(SilentPort())
            elif port.chardev is not None:
                self._used.add(port.chardev)
                by_id[port.chardev].connected = partial(self._connected, _Port())
        vm.rings |= {each.device.id: each.ring for each in self.backends if each.ring is not None}
        vm.chardev_host = self
        vm.subscribe(lambda event: None, self._ended.set)
        loop = asyncio.get_running_loop()
        vm.set_clock(lambda seconds, call: loop.call_later(seconds, call))

    def _seat(self, state: MonitorState, device: Backend) -> _Seat:
        """Let clients of *device* talk with the monitor."""
        kind = device.device.kind
        seat = _Seat(
            state, kind=kind, opens=kind != "udp" or self.vm.quirks.udp_opens, gone=partial(self._delete, state)
        )
        if state.device in self._shared:
            mux = self._shared[state.device].mux
            mux.attach(seat.user(self.vm, mux.write))
        else:
            device.connected = partial(self._connected, seat)
        return seat

    def _delete(self, state: MonitorState) -> None:
        """The client of a monitor with close-action=delete has gone: so does the monitor, and its device."""
        from qshim.monitor.monitors import forget

        forget(self.vm, state)

    def _connected(self, seat: _Place, device: Backend, make: Callable[[Receiver], Stream]) -> None:
        connection = Connection(self, seat, device, make)
        self.connections.add(connection)
        self.show_chardevs()
        connection.start()
        self.first_greeted.set()

    def one_gone(self, connection: Connection) -> None:
        """A connection is lost."""
        self.connections.discard(connection)
        if not self.connections:
            self._all_gone.set()

    def show_chardevs(self) -> None:
        """Enter the character devices where query-chardev looks."""
        for each in self.backends:
            label = each.device.id
            if each.device.mux:
                self.vm.chardevs[label] = Chardev(label, each.filename)
                label = label.removesuffix(_BASE)
                self.vm.chardevs[label] = Chardev(label, "mux")
            else:
                used = label in self._used
                self.vm.chardevs[label] = Chardev(label, each.filename, used, used)

    def plug(self, device: Device) -> str:
        """Open *device* for a monitor command; its name as query-chardev shows it.

        :raises OptionError: it cannot be had.
        """
        new = backend(device, self._policy)
        new.told = False
        new.connected = partial(self._connected, _Nobody())
        new.open()
        self.backends.append(new)
        self.show_chardevs()
        return new.filename

    def unplug(self, label: str) -> None:
        """Close the device *label*."""
        for each in [each for each in self.backends if each.device.id == label]:
            each.close()
            self.backends.remove(each)
        for connection in [each for each in self.connections if each.label == label]:
            connection.close()
        self._used.discard(label)

    def hire(self, state: MonitorState) -> None:
        """Put a monitor on a character device that has room for it, and greet who is connected."""
        label = state.device
        device = next((each for each in self.backends if each.device.id.removesuffix(_BASE) == label), None)
        if device is None:
            device = self._own_device(label)
        self._used.add(label)
        seat = self._seat(state, device)
        if device not in self.backends:
            self.backends.append(device)
            device.open()
        elif label not in self._shared:
            for connection in [each for each in self.connections if each.label == label]:
                connection.hand_to(seat)
        self.show_chardevs()

    def _own_device(self, label: str) -> Backend:
        """A device for one that needs nothing of the host, and was nothing but a name so far."""
        ring = self.vm.rings.get(label)
        if ring is None:
            return backend(Device(label, "null", ""), self._policy)
        made = backend(Device(label, "ringbuf", "", size=ring.size), self._policy)
        made.ring = ring
        return made

    def dismiss(self, state: MonitorState) -> None:
        """Take the monitor off its character device; a client stays connected, and hears nothing more."""
        nobody = _Nobody()
        for each in self.backends:
            if each.device.id == state.device:
                each.connected = partial(self._connected, nobody)
        for connection in [each for each in self.connections if each.label == state.device]:
            connection.hand_to(nobody)
        self._used.discard(state.device)
        self.show_chardevs()

    async def start(self) -> None:
        """Open every character device, in order; one with wait=on first waits for its client, as QEMU does.

        :raises OptionError: one cannot be had; what was opened before is closed.
        """
        try:
            for each in self.backends:
                if each.device.kind == "stdio" and sum(b.device.kind == "stdio" for b in self.backends) > 1:
                    raise OptionError(f"{each.device.option}: cannot use stdio by multiple character devices")
                each.open()
                self.show_chardevs()
                _log.info("serving %s", each.filename.removeprefix("disconnected:"))
                address = each.device.address
                if address is not None and address.server and address.wait:
                    say = f"{each.device.option}: info: QEMU waiting for connection on: {each.filename}"
                    print(f"{self.program}: {say}", file=sys.stderr, flush=True)
                    waits = [asyncio.ensure_future(e.wait()) for e in (each.first_client, self._ended)]
                    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                    for wait in waits:
                        wait.cancel()
            for shared in self._shared.values():
                shared.mux.made()
        except BaseException:
            self.close()
            raise

    async def run(self) -> None:
        """Serve until the machine quits; then `end`."""
        await self._ended.wait()
        await self.end()

    async def end(self) -> None:
        """Open nothing any more, let each client have what was written for it, and close."""
        self.close()
        if self.connections:
            self._all_gone.clear()
            for connection in tuple(self.connections):
                connection.close()
            try:
                # not asyncio.wait_for: that of Python 3.11 can lose a cancellation
                async with asyncio.timeout(_FAREWELL_SECONDS):
                    await self._all_gone.wait()
            except TimeoutError:
                # a client that never reads does not keep the machine alive
                for connection in tuple(self.connections):
                    connection.abort()
                await asyncio.sleep(0)

    async def greeted(self) -> None:
        """Until a client that was waiting to connect has been greeted, or a moment has passed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_GREETING_SECONDS):
                await self.first_greeted.wait()

    def close(self) -> None:
        """Open nothing any more."""
        for each in self.backends:
            each.close()

    def addresses(self) -> dict[str, str]:
        """Where the monitors are: the character device's id -> unix path, HOST:PORT, or terminal."""
        found = {}
        for each in self.backends:
            name = each.filename.removeprefix("disconnected:").partition(" <-> ")[0].removesuffix(",server=on")
            label = each.device.id.removesuffix(_BASE) if each.device.mux else each.device.id
            found[label] = name.partition(":")[2] or name
        return found


def _with_objects(policy: Policy, line: CommandLine) -> Policy:
    """*policy* with the objects of *line*, where a device may want credentials of them."""
    wanted = any(each.address is not None and each.address.credentials is not None for each in line.chardevs)
    if not wanted and not any("tls-creds-" in text for text in line.layout):
        return policy
    from qshim.argv.plan import machine_plan

    return policy._replace(objects={each.id: each for each in machine_plan(line).objects})


def _own(device: Device) -> Device:
    return device._replace(id=f"{device.id}{_BASE}") if device.mux else device


def log_to_stderr(level: str) -> None:
    """Print log records of *level* (`debug`, `info`, `warning`, `error`) and above on stderr."""
    logging.basicConfig(level=level.upper(), stream=sys.stderr, format="qshim: %(message)s")
