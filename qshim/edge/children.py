"""Programs that we start: each in a process group of its own, all ended when we are, even by SIGKILL."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

__all__ = ["Ended", "dying_with_us", "side_by_side"]

# PR_SET_PDEATHSIG survives exec; code run in the forked child by subprocess itself would not be safe beside threads.
_DIE_WITH_PARENT = (
    "import ctypes, os, signal, sys\n"
    "ctypes.CDLL(None).prctl(1, signal.SIGKILL)\n"
    "os.getppid() == int(sys.argv[1]) or os._exit(1)\n"
    "try: os.execv(sys.argv[2], sys.argv[2:])\n"
    "except OSError as error: sys.exit(f'{sys.argv[2]}: {error.strerror}')\n"
)


def dying_with_us() -> list[str]:
    """Words in front of a command (with the path of its program) that have the kernel kill it when we die.

    They start an interpreter that asks the kernel for that, then becomes the program.
    """
    return [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid())] if sys.executable else []


@dataclass(frozen=True, slots=True)
class Ended:
    """A program that ended."""

    number: int
    """Which of the commands it was."""
    status: int
    """Exit status; negative: killed by that signal."""
    stdout: str
    stderr: str
    seconds: float


async def _spawned(command: Sequence[str]) -> asyncio.subprocess.Process:
    """Start *command*; a cancellation waits until it has started, for asyncio can wait for ever for half a child."""
    spawning = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            *dying_with_us(),
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
    )
    try:
        return await asyncio.shield(spawning)
    except asyncio.CancelledError:
        child = await spawning
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        await child.communicate()
        raise


async def side_by_side(
    commands: Sequence[Sequence[str]], jobs: int, *, limit_seconds: float = 300.0
) -> AsyncGenerator[Ended, None]:
    """Run *commands*, *jobs* at a time, and yield each as it ends; one that exceeds its time is killed.

    Close it (`contextlib.aclosing`) when it is not read to its end.
    """
    places = asyncio.Semaphore(jobs)
    running: set[int] = set()

    async def one(number: int) -> Ended:
        async with places:
            clock = asyncio.get_running_loop().time
            begun = clock()
            child = await _spawned(commands[number])
            running.add(child.pid)
            try:
                async with asyncio.timeout(limit_seconds):
                    out, err = await child.communicate()
            except TimeoutError:
                out, err = b"", f"did not end within {limit_seconds:g} s".encode()
            finally:
                running.discard(child.pid)
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)
                # not wait: that returns when the pipes are read to their ends, which somebody has to do
                await child.communicate()
            status = child.returncode if child.returncode is not None else -signal.SIGKILL
            return Ended(number, status, out.decode(errors="replace"), err.decode(errors="replace"), clock() - begun)

    tasks = [asyncio.create_task(one(number)) for number in range(len(commands))]
    try:
        for done in asyncio.as_completed(tasks):
            yield await done
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for pid in running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
