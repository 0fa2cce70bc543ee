"""Files that monitor commands write (memsave, dump-guest-memory ...): which may be, and how they are made."""

from __future__ import annotations

import errno
import io
import os
import select
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

__all__ = ["HostFiles"]

_PATIENCE = 5
"""Seconds that a command waits for whoever reads what it writes."""


class HostFiles:
    """Files of the host. It is the `files` of a `qshim.vm.Vm`."""

    def __init__(self, allowed: Sequence[str] | None) -> None:
        """*allowed*: directories below which files may be written; empty: nowhere; None: everywhere, as QEMU does."""
        self._allowed = None if allowed is None else [Path(os.path.realpath(each)) for each in allowed]

    def may_write(self, path: str) -> str | None:
        """Why *path* may not be written; None if it may. Symbolic links are followed before it is judged."""
        if self._allowed is None:
            return None
        try:
            real = Path(os.path.realpath(path))
        except ValueError as error:
            return str(error)
        if any(real.is_relative_to(each) for each in self._allowed):
            return None
        if not self._allowed:
            return "qshim writes no files for monitor clients; start it with --allow-writes DIR"
        return f"not below {' or '.join(str(each) for each in self._allowed)} (--allow-writes)"

    def unreadable(self, path: str) -> str | None:
        """Why *path* cannot be read; None if it can."""
        if os.path.isdir(path):
            return os.strerror(errno.EISDIR)
        try:
            # a pipe is not waited for
            os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK))
        except (OSError, ValueError) as error:
            return getattr(error, "strerror", None) or str(error)
        return None

    def create(self, path: str, mode: int) -> BinaryIO:
        """The new, empty file *path*; one that stands there is emptied."""
        # a pipe without a reader is an error, not a reason to wait; what is opened is ours, so it stays that way
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NONBLOCK, mode)
        return _opened(fd)

    def fdopen(self, fd: int) -> BinaryIO:
        """The descriptor *fd* as a file that closes it."""
        return _opened(fd)


def _opened(fd: int) -> BinaryIO:
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return os.fdopen(fd, "wb")
    return io.BufferedWriter(_Patient(fd, "wb"))


class _Patient(io.FileIO):
    """A pipe, socket or device. Whoever reads it may be slow, but one who does not read stops nobody for good."""

    def write(self, data: Any) -> int:
        """Write a part of *data* as soon as it fits; raises OSError when nothing fits for `_PATIENCE` seconds."""
        poll = select.poll()
        poll.register(self.fileno(), select.POLLOUT)
        while True:
            if not poll.poll(_PATIENCE * 1000):
                raise TimeoutError(errno.ETIMEDOUT, f"nobody has read it for {_PATIENCE} seconds")
            # a pipe that is ready takes this much without blocking
            written = super().write(memoryview(data)[: select.PIPE_BUF])
            if written:
                return written
