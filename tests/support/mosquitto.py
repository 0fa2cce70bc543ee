"""A real mosquitto on a free loopback port, for as long as a context lasts."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import pytest

__all__ = ["Mosquitto", "free_port"]

_SECONDS = 20.0


def free_port() -> int:
    """A TCP port of the loopback that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


class Mosquitto:
    """The broker; skips the test where it is not installed."""

    def __init__(self, folder: Path, *more: str) -> None:
        """*more*: lines of its configuration, behind those that make it listen."""
        path = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
        if path is None:
            pytest.skip("mosquitto is not installed (tests/mqtt/install.sh), so nothing was published")
        self._path = path
        self._folder = folder
        self._more = more
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """What --mqtt takes."""
        return f"mqtt://127.0.0.1:{self.port}"

    def _configuration(self) -> Sequence[str]:
        lines = [f"listener {self.port} 127.0.0.1", "max_queued_messages 0", *self._more]
        if not any(line.startswith(("allow_anonymous", "per_listener_settings")) for line in lines):
            lines.append("allow_anonymous true")
        # it would give up root, and then cannot read the test's files
        return [*lines, f"user {os.environ.get('USER') or 'root'}" if os.getuid() == 0 else ""]

    def start(self) -> None:
        """Start it and wait until it listens."""
        config = self._folder / "mosquitto.conf"
        config.write_text("\n".join(self._configuration()) + "\n", encoding="utf-8")
        with (self._folder / "mosquitto.log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._path, "-c", str(config), "-v"], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        until = time.monotonic() + _SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                said = (self._folder / "mosquitto.log").read_text(encoding="utf-8", errors="replace")
                assert self._process.poll() is None, said
                assert time.monotonic() < until, said
                time.sleep(0.01)

    def stop(self, *, saved: bool = False) -> None:
        """End it; nothing retained survives, unless *saved* and it is configured so."""
        if self._process is not None:
            self.freeze(False)
            self._process.terminate() if saved else self._process.kill()
            self._process.wait(_SECONDS)
            self._process = None

    def freeze(self, frozen: bool = True) -> None:
        """Let it read and write nothing more, with its connections open; or let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP if frozen else signal.SIGCONT)

    def __enter__(self) -> Mosquitto:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
