"""-qtest-log: what test programs say to a machine and hear from it, a line each."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from typing import TextIO

__all__ = ["QtestLog"]


class QtestLog:
    """Writes to *path*; None: to standard error, `none`: nowhere. Without the file nothing is logged."""

    def __init__(self, path: str | None) -> None:
        self._began = 0.0
        self._file: TextIO | None = None
        if path is None:
            self._file = sys.stderr
        elif path != "none":
            try:
                self._file = open(path, "w+", encoding="utf-8", errors="surrogateescape")  # noqa: SIM115
            except OSError:
                # QEMU goes on without a log
                self._file = None

    def __call__(self, letter: str, text: str) -> None:
        """One line: *letter* is I (the connection), R (heard) or S (said)."""
        if self._file is None:
            return
        now = time.monotonic()
        if text == "OPENED":
            self._began = now
            stamp = "0.000000"
        else:
            stamp = f"+{now - self._began:.6f}"
        with suppress(OSError, ValueError):
            self._file.write(f"[{letter} {stamp}] {text}\n")
            self._file.flush()

    def close(self) -> None:
        """The machine has ended."""
        if self._file is not None and self._file is not sys.stderr:
            self._file.close()
        self._file = None
