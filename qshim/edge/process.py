"""A machine as a process: signals, -daemonize, -pidfile (spec/monitor.md 6.2)."""

from __future__ import annotations

import asyncio
import fcntl
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from pathlib import Path

from qshim.argv import CommandLine, OptionError
from qshim.edge.chardevs import Policy
from qshim.edge.server import Server
from qshim.vm import Vm

__all__ = ["Beside", "serve"]

_LISTEN_SECONDS = 0.5
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_Ready = Callable[[], None]
Beside = Callable[[], AbstractAsyncContextManager[None]]
"""Something that goes on in the event loop while a machine is served."""


def serve(vm: Vm, line: CommandLine, policy: Policy, *, program: str, beside: Beside = nullcontext) -> None:
    """Serve the monitors of *line* until the machine quits or a signal ends it; *beside* is open meanwhile.

    With -daemonize the calling process exits with status 0 when everything is there, and the machine
    lives in another one; what goes wrong before that is said on stderr, status 1.

    :raises OptionError: a character device or the pid file cannot be had.
    """
    if line.log_file is not None:
        _log_file(line.log_file)
    ready: _Ready = _daemonized(line) if line.daemonize else lambda: None
    pidfile = _PidFile(line.pidfile) if line.pidfile is not None else None
    try:
        asyncio.run(_serve(vm, line, policy, program, ready, beside))
    finally:
        if pidfile is not None:
            pidfile.remove()


def _log_file(path: str) -> None:
    """-D: there is nothing to log, but the file is made as QEMU makes it."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o666))
    except OSError as error:
        raise OptionError(f"Error opening logfile {path}: {error.strerror}") from None


async def _serve(
    vm: Vm, line: CommandLine, policy: Policy, program: str, ready: _Ready, beside: Beside
) -> None:
    loop = asyncio.get_running_loop()
    ended = threading.Event()

    def told(info: signal.struct_siginfo) -> None:
        # a test program ends the machine so; it need not be told
        if line.qtest is None:
            print(f"{program}: terminating on signal {info.si_signo}{_sender(info)}", file=sys.stderr, flush=True)
        vm.shutdown("host-signal")

    def listen() -> None:
        while not ended.is_set():
            info = signal.sigtimedwait(_SIGNALS, _LISTEN_SECONDS)
            if info is not None:
                with suppress(RuntimeError):
                    loop.call_soon_threadsafe(told, info)
                return

    # asyncio would not tell who sent the signal
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    threading.Thread(target=listen, daemon=True).start()
    try:
        await _run(vm, line, policy, program, ready, beside)
    finally:
        # whoever called us in their own process gets their signals back
        ended.set()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


async def _run(
    vm: Vm, line: CommandLine, policy: Policy, program: str, ready: _Ready, beside: Beside
) -> None:
    server = Server(vm, line, policy, program=program)
    await server.start()
    ready()
    # making the memory takes longer than all the rest, and the greeting does not need it
    await server.greeted()
    try:
        vm.build()
    except BaseException:
        await server.end()
        raise
    for said in vm.said:
        print(f"{program}: {said}", file=sys.stderr, flush=True)
    # what is there now stays: the collector need not look at it while somebody waits for an answer
    gc.freeze()
    async with beside():
        await server.run()


def _sender(info: signal.struct_siginfo) -> str:
    """Who sent the signal; nothing for one from the terminal."""
    if not info.si_pid:
        return ""
    try:
        name = Path(f"/proc/{info.si_pid}/cmdline").read_bytes().partition(b"\0")[0].decode("utf-8", "replace")
    except OSError:
        name = ""
    return f" from pid {info.si_pid} ({name or '<unknown process>'})"


class _PidFile:
    """`PID\\n`, locked while the process lives, for its owner alone."""

    def __init__(self, path: str) -> None:
        self._path = os.path.abspath(path)
        try:
            self._fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            desc = f"Could not create '{path}': {error.strerror}"
            raise OptionError(f"cannot create PID file: {desc}") from None
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._fd)
            raise OptionError(f"cannot create PID file: Cannot lock pid file: {error.strerror}") from None
        os.ftruncate(self._fd, 0)
        os.write(self._fd, f"{os.getpid()}\n".encode())

    def remove(self) -> None:
        """Take it away."""
        with suppress(OSError):
            os.unlink(self._path)
        os.close(self._fd)


def _daemonized(line: CommandLine) -> _Ready:
    """Go on in another process; returns what tells the first one that everything is there."""
    for device in line.chardevs:
        if device.kind == "stdio":
            raise OptionError(f"{device.option}: cannot use stdio with -daemonize")
    listening, telling = os.pipe()
    child = os.fork()
    if child:
        os.close(telling)
        word = os.read(listening, 1)
        # without the word the child has said why, and ends with status 1
        os._exit(0 if word else 1)
    os.close(listening)
    os.setsid()
    os.umask(0o027)

    def ready() -> None:
        os.chdir("/")
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        os.close(null)
        os.write(telling, b"\0")
        os.close(telling)

    return ready
