"""Several users of one character device, as `mux=on` and `-serial mon:` have it, without a socket.

Keys go to the user in focus, what any of them writes goes out. The escape character (Ctrl-A, or what
-echr says) and a letter switch the focus, print help, number lines with the time, or end the machine.
A human monitor out of focus keeps its text back until it is asked again. Seen in 7.2, 10.0 and 11.1.

One difference: a guest that is stopped takes no input from its serial port, and real QEMU stops
reading the device after some 40 bytes, the escape character included; here a serial port takes all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic
from typing import Protocol

__all__ = ["Mux", "SilentPort", "User"]

_CTRL_A = 1
_HELP = (
    ("h", "print this help"),
    ("x", "exit emulator"),
    ("s", "save disk data back to file (if -snapshot)"),
    ("t", "toggle console timestamps"),
    ("b", "send break (magic sysrq)"),
    ("c", "switch between console and monitor"),
)


class User(Protocol):
    """A monitor or a serial port."""

    def start(self) -> None:
        """The device was opened: for every client, and once when the machine is made."""

    def stop(self) -> None:
        """Its client has gone."""

    def receive(self, data: bytes, fds: Sequence[int] = ()) -> None:
        """Input came."""

    def pause(self) -> None:
        """The client does not read."""

    def resume(self) -> None:
        """The client reads again."""

    def focus(self, there: bool) -> None:
        """From now on keys come here, or not any more."""


class SilentPort:
    """A port of a machine whose guest does not run: it takes what comes and says nothing."""

    def start(self) -> None:
        """A guest would see its modem lines change."""

    def stop(self) -> None:
        """Likewise."""

    def receive(self, data: bytes, fds: Sequence[int] = ()) -> None:
        """Nobody reads it."""

    def pause(self) -> None:
        """Nothing is written."""

    def resume(self) -> None:
        """Nothing is written."""

    def focus(self, there: bool) -> None:
        """It shows nothing."""


class Mux:
    """The switch. To whoever owns the connection it is one session: `start`, `receive`, `stop` ..."""

    def __init__(self, quit_: Callable[[], object], *, escape: int = _CTRL_A) -> None:
        """*quit_* ends the machine. *escape*: the byte that begins a command to the switch; above 255: none does."""
        self._quit = quit_
        self._escape = escape
        self._users: list[User] = []
        self._focus = -1
        self._peer: Callable[[bytes], object] | None = None
        self._made = False
        self._escaped = False
        self._stamps = False
        self._stamps_since: float | None = None
        self._line_start = False

    def attach(self, user: User) -> None:
        """One more; it has the focus now."""
        self._users.append(user)
        self._switch(len(self._users) - 1)

    def _switch(self, to: int) -> None:
        if self._focus >= 0:
            self._users[self._focus].focus(False)
        self._focus = to
        self._users[to].focus(True)

    # --- the connection ---

    def serve(self, peer: Callable[[bytes], object]) -> None:
        """*peer* takes what is written from now on."""
        self._peer = peer

    def made(self) -> None:
        """The machine is there: from now on users are told when the device is opened, and now for the first time."""
        self._made = True
        self.start()

    def start(self) -> None:
        """A client is there."""
        if self._made:
            for user in self._users:
                user.start()

    def stop(self) -> None:
        """The client has gone."""
        self._peer = None
        for user in self._users:
            user.stop()

    def pause(self) -> None:
        """The client does not read."""
        for user in self._users:
            user.pause()

    def resume(self) -> None:
        """The client reads again."""
        for user in self._users:
            user.resume()

    def receive(self, data: bytes, fds: Sequence[int] = ()) -> None:
        """Input from the client."""
        at = 0
        while at < len(data):
            if self._escaped:
                self._escaped = False
                byte = data[at]
                at += 1
                if byte == self._escape:
                    self._pass_on(bytes((byte,)), fds)
                else:
                    self._command(byte)
                continue
            found = data.find(self._escape, at) if self._escape < 256 else -1
            end = len(data) if found < 0 else found
            if end > at:
                self._pass_on(data[at:end], fds)
                fds = ()
            self._escaped = found >= 0
            at = end + 1

    def _pass_on(self, data: bytes, fds: Sequence[int]) -> None:
        if self._focus >= 0:
            self._users[self._focus].receive(data, fds)

    def _command(self, byte: int) -> None:
        key = chr(byte)
        if key in "h?":
            self.write(self._help())
        elif key == "x":
            self.write(b"QEMU: Terminated\n\r")
            self._quit()
        elif key == "c" and self._users:
            self._switch((self._focus + 1) % len(self._users))
        elif key == "t":
            self._stamps = not self._stamps
            self._stamps_since = None
            self._line_start = False
        # s has no disk to save to, b no guest to break, and anything else means nothing

    def _help(self) -> bytes:
        lines = [""]
        if 0 < self._escape < 26:
            name = f"C-{chr(self._escape - 1 + ord('a'))}"
        else:
            name = "Escape-Char"
            lines.append(f"Escape-Char set to Ascii: 0x{self._escape:02x}\n\r")
        lines += [f"{name} {key}    {what}" for key, what in _HELP]
        lines.append(f"{name} {name}  sends {name}")
        return "".join(f"{line}\n\r" for line in lines).encode("latin-1")

    def write(self, data: bytes) -> None:
        """Output of a user; nobody gets it while nobody is there."""
        if self._peer is not None:
            self._peer(self._stamped(data) if self._stamps else data)

    def _stamped(self, data: bytes) -> bytes:
        out = bytearray()
        for line in _lines(data):
            if self._line_start:
                out += self._stamp()
            out += line
            self._line_start = line.endswith(b"\n")
        return bytes(out)

    def _stamp(self) -> bytes:
        now = monotonic()
        if self._stamps_since is None:
            self._stamps_since = now
        seconds, thousandths = divmod(int((now - self._stamps_since) * 1000), 1000)
        return b"[%02d:%02d:%02d.%03d] " % (seconds // 3600, seconds // 60 % 60, seconds % 60, thousandths)


def _lines(data: bytes) -> list[bytes]:
    parts = data.split(b"\n")
    return [part + b"\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])
