"""Brokers, fake machines, and `qshim` as a process with either library."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support.mosquitto import Mosquitto

ROOT = Path(__file__).parents[2]
LIBRARIES = {"asyncio-mqtt": "mqtt", "aiomqtt": "aiomqtt"}
"""Library -> the extra that installs it, and the virtual environment of it in .cache/mqtt."""


class Qshim:
    """A `qshim` that runs; what it says on stderr is kept."""

    def __init__(self, python: Path, words: tuple[str, ...], environment: dict[str, str]) -> None:
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("QSHIM_MQTT")}
        self.process = subprocess.Popen(
            [python, "-m", "qshim", *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, env={**inherited, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error", **environment},
        )  # fmt: skip
        self._said: list[str] = []
        self._out: list[str] = []
        assert self.process.stderr is not None
        assert self.process.stdout is not None
        self._readers = [
            threading.Thread(target=self._said.extend, args=(self.process.stderr,), daemon=True),
            threading.Thread(target=self._out.extend, args=(self.process.stdout,), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    @property
    def said(self) -> str:
        """stderr so far."""
        return "".join(self._said)

    def wait(self, seconds: float = 30) -> int:
        """The exit status."""
        status = self.process.wait(seconds)
        for reader in self._readers:
            reader.join(seconds)
        return status

    @property
    def out(self) -> str:
        """stdout so far."""
        return "".join(self._out)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send it a signal; the exit status."""
        self.process.send_signal(number)
        return self.wait()

    def memory(self) -> int:
        """Bytes of RAM that it has now."""
        with open(f"/proc/{self.process.pid}/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


Start = Callable[..., Qshim]


def python_of(name: str) -> Path:
    """The interpreter that has the library *name*."""
    python = ROOT / ".cache" / "mqtt" / LIBRARIES[name] / "bin" / "python"
    if not (python.parents[1] / ".installed").exists():
        pytest.skip(f"{name} is not installed (tests/mqtt/install.sh), so nothing was published with it")
    return python


@pytest.fixture(params=LIBRARIES)
def python(request: pytest.FixtureRequest) -> Path:
    """An interpreter with one of the libraries, one after the other."""
    return python_of(request.param)


def _starter(python: Path) -> Iterator[Start]:
    running: list[Qshim] = []

    def start(*words: str, **environment: str) -> Qshim:
        running.append(Qshim(python, words, environment))
        return running[-1]

    yield start
    for each in running:
        each.process.kill()
        each.wait()
        for stream in (each.process.stdout, each.process.stderr):
            assert stream is not None
            stream.close()
    for each in running:
        assert "Traceback" not in each.said, each.said
        assert "Warning" not in each.said, each.said


@pytest.fixture
def start(python: Path) -> Iterator[Start]:
    """Start `qshim` with either library; whatever still runs at the end is killed, and none may have crashed."""
    yield from _starter(python)


@pytest.fixture
def start_one() -> Iterator[Start]:
    """Start `qshim` with asyncio-mqtt, where the library makes no difference."""
    yield from _starter(python_of("asyncio-mqtt"))


@pytest.fixture
def start_without() -> Iterator[Start]:
    """Start `qshim` with the interpreter of the tests, which need not have an MQTT library."""
    for library in ("asyncio_mqtt", "aiomqtt"):
        if find_spec(library) is not None:
            pytest.skip(f"{library} is installed here, so nothing was tried without a library")
    yield from _starter(Path(sys.executable))


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker without passwords."""
    with Mosquitto(tmp_path) as mosquitto:
        yield mosquitto
