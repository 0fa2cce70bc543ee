"""Programs side by side: each in a process group of its own, all ended when we are."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

__all__ = ["Ended", "side_by_side"]


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


async def side_by_side(
    commands: Sequence[Sequence[str]], jobs: int, *, limit_seconds: float = 300.0
) -> AsyncIterator[Ended]:
    """Run *commands*, *jobs* at a time, and yield each as it ends; one that exceeds its time is killed."""
    places = asyncio.Semaphore(jobs)
    running: set[int] = set()

    async def one(number: int) -> Ended:
        async with places:
            clock = asyncio.get_running_loop().time
            begun = clock()
            child = await asyncio.create_subprocess_exec(
                *commands[number],
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
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
                await child.wait()
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
