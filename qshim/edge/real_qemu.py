"""A real QEMU as a peer: started paused or attached to, asked over QMP, and always ended when it was ours.

A QEMU that we start talks over one end of a socket pair, so there is no socket file, no race for its
appearance, and nobody else can connect. It runs in its own process group, is killed when its context
ends for whatever reason, and is told by the kernel to die with us should we be killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from typing import IO, Any, TypeVar

from qemu.qmp import ConnectError, ExecInterruptedError, ExecuteError, QMPClient, QMPError
from qemu.qmp.protocol import Runstate, StateError

from qshim.edge.children import dying_with_us
from qshim.errors import CompareError, QshimError, UsageError
from qshim.recording.format import lines_of

__all__ = ["MONITOR_ID", "DidNotStart", "Hung", "RealQemu", "Refused", "attached", "parse_address", "run", "started"]

MONITOR_ID = "qshim-monitor"
"""The id of our character device and monitor in a QEMU of ours."""
_QTEST_ID = "qtest"
"""The only id under which -qtest finds a character device (7.2 to 11.1)."""

ANSWER_SECONDS = 20.0
"""How long one command may take before the QEMU counts as hung; the slowest seen took 5 s."""

_START_SECONDS = 60.0
_GREETING_SECONDS = 5.0
_Result = TypeVar("_Result")

# without any handler, logging would print the library's warnings on stderr
logging.getLogger("qemu.qmp").addHandler(logging.NullHandler())


class Refused(QshimError):
    """QEMU answered a command with an error; *error_class* and *description* are QEMU's."""

    exit_status = 3

    def __init__(self, command: str, error_class: str, description: str) -> None:
        super().__init__(f"QEMU refuses {command}: {description}")
        self.error_class = error_class
        self.description = description


class DidNotStart(CompareError):
    """A QEMU ended before it greeted: it refused its command line, or it failed."""

    def __init__(self, who: str, reason: str) -> None:
        super().__init__(f"{who} did not start: {reason}")
        self.reason = reason
        """Its last error without its name."""


class Hung(CompareError):
    """QEMU did not answer *command* in time; it answers nothing else any more either."""

    def __init__(self, who: str, command: str, seconds: float) -> None:
        super().__init__(f"{who} did not answer `{command}` within {seconds:g} s")
        self.command = command
        self.seconds = seconds


class RealQemu:
    """An open QMP session with a real QEMU; made by `started` and `attached`."""

    def __init__(
        self,
        client: QMPClient,
        who: str,
        process: _Process | None,
        answer_seconds: float,
        qtest: socket.socket | None = None,
    ) -> None:
        self._client = client
        self._qtest = qtest
        self._unread = b""
        self._process = process
        self._answer_seconds = answer_seconds
        self.who = who
        """How messages name it."""

    async def qmp(self, command: str, arguments: Mapping[str, object] | None = None) -> Any:
        """What *command* returns.

        :raises Refused: QEMU answered with an error.
        :raises Hung: no answer in time.
        :raises CompareError: the QEMU went away.
        """
        return await self._ask(command, command, arguments)

    async def hmp(self, line: str) -> tuple[str, ...] | None:
        """The lines that the HMP command *line* prints; None when this QEMU has no such command."""
        text = await self._ask(line, "human-monitor-command", {"command-line": line})
        lines = lines_of(str(text))
        if lines and lines[0].startswith("unknown command: "):
            return None
        return lines

    async def events(self) -> AsyncIterator[Mapping[str, Any]]:
        """Each event as the monitor tells it, those since the handshake first.

        :raises CompareError: the QEMU went away, after the last event that it told.
        """
        listener = self._client.events
        gone = asyncio.ensure_future(self._gone())
        try:
            while True:
                if listener.empty():
                    following = asyncio.ensure_future(listener.get())
                    try:
                        await asyncio.wait((following, gone), return_when=asyncio.FIRST_COMPLETED)
                        if not following.done():
                            raise CompareError(f"{self.who} went away")
                        yield dict(following.result())
                    finally:
                        following.cancel()
                else:
                    yield dict(await listener.get())
        finally:
            gone.cancel()

    async def _gone(self) -> None:
        while self._client.runstate is Runstate.RUNNING:
            await self._client.runstate_changed()

    async def qtest(self, line: str) -> str:
        """The reply to *line* of the qtest protocol, with the interrupt lines that came before it.

        :raises Hung: no answer in time.
        :raises CompareError: the QEMU went away, or was started without a qtest socket.
        """
        if self._qtest is None:
            raise CompareError(f"{self.who} was not started with a qtest socket")
        loop = asyncio.get_running_loop()
        lines: list[str] = []
        try:
            async with asyncio.timeout(self._answer_seconds):
                await loop.sock_sendall(self._qtest, f"{line}\n".encode())
                while not lines or lines[-1].startswith("IRQ "):
                    while b"\n" not in self._unread:
                        data = await loop.sock_recv(self._qtest, 1 << 16)
                        if not data:
                            raise EOFError
                        self._unread += data
                    whole, _, self._unread = self._unread.partition(b"\n")
                    lines.append(whole.decode(errors="replace"))
        except TimeoutError:
            raise Hung(self.who, line, self._answer_seconds) from None
        except (OSError, EOFError) as error:
            reason = self._process.last_words() if self._process else "the connection was closed"
            raise CompareError(f"{self.who} went away during `{line}`: {reason}") from error
        return "\n".join(lines)

    async def _ask(self, name: str, command: str, arguments: Mapping[str, object] | None) -> object:
        try:
            # not wait_for: in Python 3.11 it can swallow a cancellation that comes with the answer
            async with asyncio.timeout(self._answer_seconds):
                return await self._client.execute(command, arguments)
        except ExecuteError as error:
            raise Refused(name, error.error_class, str(error)) from error
        except TimeoutError:
            raise Hung(self.who, name, self._answer_seconds) from None
        except (ExecInterruptedError, StateError, OSError, EOFError) as error:
            reason = self._process.last_words() if self._process else "the connection was closed"
            raise CompareError(f"{self.who} went away during `{name}`: {reason}") from error


@contextlib.asynccontextmanager
async def started(
    binary: str, argv: Sequence[str] = (), *, answer_seconds: float = ANSWER_SECONDS, qtest: bool = False
) -> AsyncIterator[RealQemu]:
    """A QEMU of our own, paused before its first instruction; ended when the context ends.

    *argv* are QEMU's options without its name. Added are -S, -display none, our monitor, and with *qtest*
    a socket for `RealQemu.qtest`.

    :raises UsageError: an option with which QEMU would escape.
    :raises CompareError: it is missing, does not start, or refuses the command line.
    """
    path = shutil.which(binary)
    if path is None:
        raise CompareError(f"there is no program {binary} to start")
    if any(word.lstrip("-") == "daemonize" for word in argv if word.startswith("-")):
        raise UsageError("-daemonize would let QEMU run on without us; leave it out")
    ours, theirs = socket.socketpair()
    test, their_test = socket.socketpair()
    test.setblocking(False)
    process: _Process | None = None
    client: QMPClient | None = None
    who = os.path.basename(path)
    try:
        with theirs, their_test:
            process = _Process(path, argv, theirs.fileno(), their_test.fileno() if qtest else None)
        client = QMPClient("qshim")
        try:
            async with asyncio.timeout(_START_SECONDS):
                await client.connect(ours)
        except TimeoutError:
            raise CompareError(
                f"{who} did not greet within {_START_SECONDS:g} s; does an option make it wait for a connection?"
            ) from None
        except (ConnectError, QMPError, OSError) as error:
            raise DidNotStart(who, process.last_words()) from error
        yield RealQemu(client, who, process, answer_seconds, test if qtest else None)
    finally:
        test.close()
        if process is not None:
            process.end()
        if client is not None:
            await _close(client)
        ours.close()


@contextlib.asynccontextmanager
async def attached(address: str, *, answer_seconds: float = ANSWER_SECONDS) -> AsyncIterator[RealQemu]:
    """A session with a running QEMU, which is left as it was.

    *address* is the path of a unix socket or host:port.

    :raises UsageError: *address* is neither.
    :raises CompareError: nobody listens, or somebody else is connected already.
    """
    parsed = parse_address(address)
    client = QMPClient("qshim")
    try:
        try:
            async with asyncio.timeout(_GREETING_SECONDS):
                await client.connect(parsed)
        except TimeoutError:
            raise CompareError(
                f"the monitor at {address} did not greet within {_GREETING_SECONDS:g} s; "
                "a QEMU monitor serves one client, so is another one connected?"
            ) from None
        except (ConnectError, QMPError, OSError) as error:
            raise CompareError(f"cannot talk to a QEMU monitor at {address}: {_reason(error)}") from error
        yield RealQemu(client, f"the QEMU at {address}", None, answer_seconds)
    finally:
        await _close(client)


def parse_address(address: str) -> str | tuple[str, int]:
    """*address* as qemu.qmp takes it: the path of a unix socket, or (host, port).

    :raises UsageError: it is neither.
    """
    if "/" in address or ":" not in address:
        return address
    host, _, port = address.rpartition(":")
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise UsageError(f"{address} is no address: give the path of a unix socket or HOST:PORT")
    return host.strip("[]"), int(port)


def run(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Run *work* to its end, so that Ctrl-C, SIGTERM and SIGHUP unwind it and no QEMU is left behind."""
    received: list[signal.Signals] = []

    async def watched() -> _Result:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None

        def stop(number: signal.Signals) -> None:
            received.append(number)
            task.cancel()

        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, stop, number)
        return await work

    try:
        return asyncio.run(watched())
    except asyncio.CancelledError:
        if not received:
            raise
        raise SystemExit(128 + received[0]) from None


class _Process:
    """The child process; stderr is kept for the sentence that says why it ended."""

    def __init__(self, path: str, argv: Sequence[str], fd: int, qtest: int | None) -> None:
        own = ["-S", "-display", "none", "-chardev", f"socket,id={MONITOR_ID},fd={fd}"]
        own += ["-mon", f"chardev={MONITOR_ID},mode=control,id={MONITOR_ID}"]
        if qtest is not None:
            own += ["-chardev", f"socket,id={_QTEST_ID},fd={qtest}", "-qtest", f"chardev:{_QTEST_ID}"]
            own += ["-qtest-log", "none"]
        self._name = os.path.basename(path)
        # in memory, so that a full disk hides no reason
        self._stderr: IO[bytes] = os.fdopen(os.memfd_create("qemu-stderr"), "w+b")
        try:
            self._child = subprocess.Popen(
                [*dying_with_us(), os.path.abspath(path), *argv, *own],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._stderr,
                pass_fds=(fd,) if qtest is None else (fd, qtest),
                start_new_session=True,
            )
        except OSError as error:
            self._stderr.close()
            raise CompareError(f"cannot start {path}: {error.strerror}") from error

    def last_words(self) -> str:
        """Why it ended: the error on its stderr, else its exit status."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(2)
        self._stderr.seek(0)
        lines = [line for line in self._stderr.read().decode(errors="replace").splitlines() if line.strip()]
        errors = [line for line in lines if "warning: " not in line and "do you want to install" not in line]
        # QEMU's errors begin with its name, which stands in our sentence already; the last one was fatal, unlike
        # an earlier one about some module, and what follows it without the name is a hint or a library's remark
        named = [rest for line in errors if (rest := line.partition(": ")[2]) and line.startswith("qemu")]
        if named or errors:
            return (named or errors)[-1]
        status = self._child.returncode
        if status is None:
            return "it closed its monitor"
        return f"killed by signal {-status}" if status < 0 else f"it ended with exit status {status}"

    def end(self) -> None:
        """Kill it with everything it started, and reap it."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()
        self._stderr.close()


async def _close(client: QMPClient) -> None:
    # the reason for a broken connection was told already; here it only has to end
    with contextlib.suppress(Exception, asyncio.TimeoutError):
        async with asyncio.timeout(5):
            await client.disconnect()


def _reason(error: BaseException) -> str:
    cause = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    if isinstance(cause, EOFError):
        return "the connection was closed before the greeting"
    return str(cause) or type(cause).__name__
