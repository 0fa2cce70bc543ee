"""A client of the qtest protocol: bytes in, lines out, without a socket in sight."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from qshim.monitor.qtest.commands import Qtest

__all__ = ["QtestSession"]

_LONGEST = 1 << 30
"""Bytes of a line; a longer one is dropped."""


class QtestSession:
    """Answers the lines of one client through *send*; *log* is told what goes on, as -qtest-log shows it."""

    def __init__(
        self, server: Qtest, send: Callable[[bytes], object], log: Callable[[str, str], object] | None = None
    ) -> None:
        """*log* takes a letter (I, R, S) and a text."""
        self._server = server
        self._send = send
        self._log = log or (lambda letter, text: None)
        self._kept = bytearray()
        self._waiting: list[bytes] = []
        self._paused = False

    def start(self) -> None:
        """The client is there."""
        self._log("I", "OPENED")

    def stop(self) -> None:
        """The client is gone, with what it had begun to say."""
        self._kept.clear()
        self._waiting.clear()
        self._log("I", "CLOSED")

    def receive(self, data: bytes, fds: Sequence[int] = ()) -> None:
        """Bytes came; every full line is answered at once."""
        at = len(self._kept)
        self._kept += data
        if self._kept.find(b"\n", at) < 0:
            if len(self._kept) > _LONGEST:
                self._kept.clear()
            return
        *lines, rest = bytes(self._kept).split(b"\n")
        self._kept = bytearray(rest)
        self._waiting += lines
        self._work()

    def pause(self) -> None:
        """The client does not take its answers: carry out no more lines."""
        self._paused = True

    def resume(self) -> None:
        """It takes them again."""
        self._paused = False
        self._work()

    def _work(self) -> None:
        while self._waiting and not self._paused:
            line = self._waiting.pop(0).decode("utf-8", "surrogateescape")
            if not line:
                continue
            self._log("R", line)
            reply = self._server.answer(line)
            self._log("S", reply)
            self._send(reply.encode("utf-8", "surrogateescape") + b"\n")
