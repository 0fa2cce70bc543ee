"""Real migrations between real QEMUs: one saves a paused machine into a file, the other is started with it."""

from __future__ import annotations

import json
import shlex
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["Outcome", "receive", "save"]

_SECONDS = 40.0


class Outcome(NamedTuple):
    """What became of a migration."""

    accepted: bool
    said: tuple[str, ...]
    """The lines on stderr without the program's name and without warnings."""


@contextmanager
def _qemu(binary: str, argv: Sequence[str], folder: Path, *more: str) -> Iterator[subprocess.Popen[str]]:
    path = folder / "qmp"
    path.unlink(missing_ok=True)
    words = [*argv, "-S", "-display", "none", "-nodefaults", "-qmp", f"unix:{path},server=on,wait=off", *more]
    process = subprocess.Popen(
        [binary, *words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=20)


class _Monitor:
    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        deadline = time.monotonic() + _SECONDS
        while True:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(_SECONDS)
            try:
                self.socket.connect(str(folder / "qmp"))
                break
            except OSError:
                self.socket.close()
                if process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
        self.file = self.socket.makefile("r")
        try:
            if not self.file.readline():
                raise OSError("no greeting")
            self.ask("qmp_capabilities")
        except OSError:
            self.close()
            raise

    def ask(self, command: str, **arguments: Any) -> Any:
        self.socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode())
        while line := self.file.readline():
            answer = json.loads(line)
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise AssertionError(f"{command}: {answer['error']['desc']}")
        raise OSError("the QEMU went away")

    def close(self) -> None:
        self.file.close()
        self.socket.close()

    def can(self, capabilities: Sequence[str]) -> None:
        if capabilities:
            self.ask("migrate-set-capabilities", capabilities=[{"capability": c, "state": True} for c in capabilities])


def save(
    binary: str, argv: str, target: Path, folder: Path, *, capabilities: Sequence[str] = (), by_file: bool = False
) -> None:
    """Migrate the paused machine of *argv* into the file *target*; *by_file*: with `file:`, else with `exec:`."""
    with _qemu(binary, shlex.split(argv), folder) as process:
        try:
            monitor = _Monitor(process, folder)
        except OSError as error:
            process.kill()
            raise AssertionError(f"{binary} {argv}: {process.communicate(timeout=20)[1]}") from error
        try:
            monitor.can(capabilities)
            monitor.ask("migrate", uri=f"file:{target}" if by_file else f"exec:cat>{target}")
            deadline = time.monotonic() + _SECONDS
            while (status := monitor.ask("query-migrate").get("status")) != "completed":
                assert status != "failed", f"{binary} {argv}: the migration failed"
                assert time.monotonic() < deadline, f"{binary} {argv}: the migration does not end"
                time.sleep(0.02)
        finally:
            monitor.close()


def receive(
    binary: str, argv: str, source: Path, folder: Path, *, capabilities: Sequence[str] = (), by_file: bool = False
) -> Outcome:
    """What a QEMU with *argv* does with the migration in the file *source*."""
    uri = f"file:{source}" if by_file else f"exec:cat {source}"
    with _qemu(binary, shlex.split(argv), folder, "-incoming", "defer") as process:
        try:
            monitor = _Monitor(process, folder)
            try:
                monitor.can(capabilities)
                monitor.ask("migrate-incoming", uri=uri)
                deadline = time.monotonic() + _SECONDS
                while monitor.ask("query-status")["status"] == "inmigrate":
                    assert time.monotonic() < deadline, f"{binary} {argv}: the migration does not end"
                    time.sleep(0.02)
            finally:
                monitor.close()
            return Outcome(True, ())
        except OSError:
            process.wait(timeout=_SECONDS)
            assert process.stderr is not None
            lines = process.stderr.read().splitlines()
    said = [line.partition(": ")[2] for line in lines]
    return Outcome(False, tuple(line for line in said if not line.startswith(("warning: ", "info: "))))
