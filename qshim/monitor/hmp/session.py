"""One connection of a human monitor, without a socket: keys in, text out (spec/monitor.md 5.1).

The monitor itself (`hmp.table.Monitor`: history, current CPU, descriptors) outlives its connections;
a half-typed line does not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from qshim.monitor.hmp.completion import complete
from qshim.monitor.hmp.line import run
from qshim.monitor.hmp.readline import Readline
from qshim.monitor.hmp.table import Monitor
from qshim.monitor.hmp.telnet import OFFER, TelnetFilter

if TYPE_CHECKING:
    from qshim.vm import Vm

__all__ = ["HmpSession", "banner"]

_PROMPT = b"(qemu) "
_MOST_KEPT = 1 << 20
"""Bytes of text that are kept while the monitor is out of focus."""
_ENOUGH = 32 << 10
"""Bytes of output after which the peer is asked whether it still reads."""


def banner(vm: Vm) -> bytes:
    """What a human monitor says when somebody connects."""
    return f"QEMU {vm.version} monitor - type 'help' for more information\r\n".encode()


class HmpSession:
    """From the banner to the end of one connection."""

    def __init__(
        self,
        vm: Vm,
        send: Callable[[bytes], object],
        *,
        monitor: Monitor | None = None,
        telnet: bool = False,
        readline: bool = True,
        opens: bool = True,
    ) -> None:
        """*send* takes bytes for the peer. *monitor*: what earlier clients left; None: nothing.

        *telnet*: offer its options and filter its commands. Without *readline* (`-mon readline=off`)
        nothing is echoed, no prompt is shown, and each chunk of input must be one line that ends in a NUL.
        *opens* False: a device of which nobody can say when it begins (udp); lines are taken, but no prompt is shown.
        """
        self._vm = vm
        self._peer = send
        self._in_focus = True
        self._greeted = False
        self._kept = bytearray()
        self._monitor = monitor or Monitor()
        self._telnet = TelnetFilter() if telnet else None
        self._readline = (
            Readline(
                _PROMPT if opens else b"",
                self._monitor.history,
                self._complete,
                emacs_keys=vm.quirks.readline_emacs_keys,
            )
            if readline
            else None
        )
        self._unread = bytearray()
        self._paused = False
        self._active = False

    def _complete(self, line: bytes) -> tuple[int, Sequence[bytes]]:
        begun, matches = complete(self._vm, line.decode("utf-8", "surrogateescape"))
        return begun, [match.encode("utf-8", "surrogateescape") for match in matches]

    def start(self) -> None:
        """The peer is there: greet it."""
        greeting = OFFER if self._telnet is not None else b""
        greeting += banner(self._vm)
        self._greeted = True
        if self._readline is not None and self._in_focus:
            self._readline.restart()
            self._readline.show_prompt()
            greeting += self._taken(self._readline)
        self._send(greeting)

    def stop(self) -> None:
        """The peer is gone: its half-typed line is forgotten, the monitor stays."""
        self._unread.clear()
        self._monitor.forget()

    def focus(self, there: bool) -> None:
        """Whether keys come here, on a device with several users (`monitor.mux`); text is kept while they do not."""
        editor = self._readline
        if not there and self._greeted:
            self._send(b"\r\n")
        self._in_focus = there
        if not there:
            return
        if editor is not None and self._greeted:
            editor.restart()
            editor.show_prompt()
            self._kept += self._taken(editor)
        if self._kept:
            kept = bytes(self._kept)
            self._kept.clear()
            self._send(kept)

    def _send(self, data: bytes) -> None:
        if self._in_focus:
            self._peer(data)
        elif len(self._kept) + len(data) <= _MOST_KEPT:
            self._kept += data

    def receive(self, data: bytes, fds: Sequence[int] = ()) -> None:
        """Take input in any chunking and print what it does; *fds* came with it and are the session's now."""
        if fds:
            self._monitor.take(fds)
        if self._telnet is not None:
            data = self._telnet.feed(data)
        if self._readline is None:
            self._whole(data)
            return
        self._unread += data
        if not self._active:
            self._work(self._readline)

    def pause(self) -> None:
        """The peer does not read: look at no further key until `resume`."""
        self._paused = True

    def resume(self) -> None:
        """The peer reads again."""
        self._paused = False
        if self._readline is not None and not self._active:
            self._work(self._readline)

    @property
    def busy(self) -> bool:
        """Whether keys wait to be looked at."""
        return bool(self._unread)

    def _work(self, editor: Readline) -> None:
        self._active = True
        done = 0
        try:
            while done < len(self._unread) and not self._paused and not self._vm.ended:
                line = editor.feed(self._unread[done])
                done += 1
                if line is not None:
                    self._vm.fds, self._vm.passed = self._monitor.fds, self._monitor.passed
                    printed = run(self._vm, line.decode("utf-8", "surrogateescape"), self._monitor)
                    editor.out += printed.encode("utf-8", "surrogateescape")
                    if not self._vm.ended:
                        editor.show_prompt()
                if len(editor.out) >= _ENOUGH:
                    self._send(self._taken(editor))
        finally:
            self._active = False
            del self._unread[:done]
        if editor.out:
            self._send(self._taken(editor))

    @staticmethod
    def _taken(editor: Readline) -> bytes:
        data = bytes(editor.out)
        editor.out.clear()
        return data

    def _whole(self, data: bytes) -> None:
        """Input without line editing."""
        if not data.endswith(b"\0"):
            self._send(b"corrupted command\r\n")
            return
        printed = run(self._vm, data.decode("utf-8", "surrogateescape"), self._monitor)
        if printed:
            self._send(printed.encode("utf-8", "surrogateescape"))
