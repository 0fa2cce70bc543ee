"""Files that monitor commands write (memsave, dump-guest-memory ...): which may be, and how they are made."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

__all__ = ["HostFiles"]


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

    def create(self, path: str, mode: int) -> BinaryIO:
        """The new, empty file *path*; one that stands there is emptied."""
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
        return os.fdopen(fd, "wb")

    def fdopen(self, fd: int) -> BinaryIO:
        """The descriptor *fd* as a file that closes it."""
        return os.fdopen(fd, "wb")
