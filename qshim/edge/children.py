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

_LONGEST_ANSWER = 1 << 28
_ANSWERS = 200
"""After so many a process is followed by a new one, so that what leaks somewhere stays small."""


def dying_with_us() -> list[str]:
    """Words in front of a command (with the path of its program) that have the kernel kill it when we die.

    They start an interpreter that asks the kernel for that, then becomes the program.
    """
    return [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid())] if sys.executable else []


@dataclass(frozen=True, slots=True)
class Ended:
    """A request that was answered, or not."""

    number: int
    """Which of the requests it was."""
    answer: str | None
    reason: str
    """Why there is no answer."""
    seconds: float


async def _spawned(command: Sequence[str]) -> asyncio.subprocess.Process:
    """Start *command*; a cancellation waits until it has started, for asyncio can wait for ever for half a child."""
    spawning = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            *dying_with_us(),
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            limit=_LONGEST_ANSWER,
        )
    )
    try:
        return await asyncio.shield(spawning)
    except asyncio.CancelledError:
        await _end(await spawning)
        raise


async def _end(child: asyncio.subprocess.Process) -> str:
    """Kill *child* with everything in its process group; what it said on stderr."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    # not wait: that returns when the pipes are read to their ends, which somebody has to do
    return (await child.communicate())[1].decode(errors="replace")


class _Worker:
    """A process that answers lines with lines; started with the first one, and again when it ended."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._child: asyncio.subprocess.Process | None = None
        self._answered = 0

    async def ask(self, request: str, seconds: float) -> tuple[str | None, str]:
        """The answer, or None and why there is none."""
        if self._child is None or self._answered >= _ANSWERS:
            await self.end()
            self._child, self._answered = await _spawned(self._command), 0
        child = self._child
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            async with asyncio.timeout(seconds):
                child.stdin.write(request.encode() + b"\n")
                await child.stdin.drain()
                answer = await child.stdout.readline()
        except TimeoutError:
            await self.end()
            return None, f"did not end within {seconds:g} s"
        except (OSError, ValueError):
            answer = b""
        self._answered += 1
        if answer.endswith(b"\n"):
            return answer.decode(errors="replace"), ""
        status = child.returncode
        words = (await self.end()).strip().splitlines()
        return None, words[-1] if words else f"it ended{'' if status is None else f' with status {status}'}"

    async def end(self) -> str:
        """End the process, if there is one; what it said on stderr."""
        child, self._child = self._child, None
        return "" if child is None else await _end(child)


async def side_by_side(
    command: Sequence[str], requests: Sequence[str], jobs: int, *, limit_seconds: float = 300.0
) -> AsyncGenerator[Ended, None]:
    """Give *requests*, a line each, to *jobs* processes of *command*, and yield each answer as it comes.

    One that exceeds its time is killed; one that dies costs its request alone, and another takes its place. Close
    the generator (`contextlib.aclosing`) when it is not read to its end.
    """
    waiting = iter(enumerate(requests))
    answers: asyncio.Queue[Ended] = asyncio.Queue()
    clock = asyncio.get_running_loop().time

    async def work() -> None:
        worker = _Worker(command)
        try:
            for number, request in waiting:
                begun = clock()
                answer, reason = await worker.ask(request, limit_seconds)
                answers.put_nowait(Ended(number, answer, reason, clock() - begun))
        finally:
            # whoever stops listening now must not leave a child half ended
            ending = asyncio.ensure_future(worker.end())
            try:
                await asyncio.shield(ending)
            except asyncio.CancelledError:
                await ending
                raise

    tasks = [asyncio.create_task(work()) for _ in range(min(jobs, len(requests)))]
    try:
        for _ in requests:
            next_answer = asyncio.ensure_future(answers.get())
            await asyncio.wait([next_answer, *tasks], return_when=asyncio.FIRST_COMPLETED)
            while not next_answer.done():
                broken = [task for task in tasks if task.done() and task.exception() is not None]
                for task in broken:
                    next_answer.cancel()
                    task.result()
                await asyncio.wait([next_answer, *(t for t in tasks if not t.done())],
                                   return_when=asyncio.FIRST_COMPLETED)  # fmt: skip
            yield next_answer.result()
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
