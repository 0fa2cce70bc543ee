"""Files that sources name: as they are, and as they were committed (`git:REV:PATH`)."""

from __future__ import annotations

import asyncio
from pathlib import Path

from qshim.errors import RecordingError, UsageError

__all__ = ["GIT_SECONDS", "committed", "stored"]

GIT_SECONDS = 30.0
"""How long git may take."""


async def committed(source: str, folder: str = ".") -> bytes:
    """The contents of *source*, `git:REV:PATH`; PATH is relative to *folder*, which is inside the work tree.

    :raises UsageError: not of that form.
    :raises RecordingError: no git, no repository, no such revision or no such file in it.
    """
    revision, colon, path = source.removeprefix("git:").partition(":")
    if not revision or not colon or not path or revision.startswith("-"):
        raise UsageError(f"{source}: a file of a revision is called git:REV:PATH")
    place = path if path.startswith(("./", "../")) else f"./{path}"
    try:
        git = await asyncio.create_subprocess_exec(
            "git", "-C", folder, "show", f"{revision}:{place}",
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
    except OSError as error:
        raise RecordingError(f"cannot read {source}: git cannot be started: {error.strerror}") from error
    try:
        async with asyncio.timeout(GIT_SECONDS):
            out, err = await git.communicate()
    except TimeoutError:
        raise RecordingError(f"cannot read {source}: git gave no answer within {GIT_SECONDS:g} s") from None
    finally:
        if git.returncode is None:
            git.kill()
            await git.wait()
    if git.returncode:
        reason = err.decode(errors="replace").strip().split("\n")[0].removeprefix("fatal: ")
        raise RecordingError(f"cannot read {source}: {reason}")
    return out


def stored(source: str, folder: str = ".") -> bytes:
    """The contents of the file *source*, relative to *folder*.

    :raises RecordingError: it cannot be read.
    """
    try:
        return Path(folder, source).read_bytes()
    except OSError as error:
        raise RecordingError(f"cannot read {source}: {error.strerror}") from error
