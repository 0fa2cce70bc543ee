"""`qshim serve` as a process: greeting, answers, signals, statuses."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from qemu.qmp import QMPClient

from qshim.cli import main
from qshim.recording.format import load, save

PC = Path(__file__).parents[2] / "fixtures" / "recordings" / "10.0" / "pc-dimm.qrec.xz"
SECONDS = 30
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "q")


@pytest.fixture
def start(path: str) -> Iterator[Start]:
    """Start `qshim serve`; whatever still runs at the end is killed."""
    running: list[subprocess.Popen[str]] = []

    def serve(recording: Path | str = PC, *words: str, qemu: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "qshim", "serve", "--recording", str(recording), *words]
        monitor = ["--", "-qmp", f"unix:{path},server=on,wait=off", *qemu]
        process = subprocess.Popen([*command, *monitor], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        running.append(process)
        return process

    yield serve
    for process in running:
        process.kill()
        process.communicate()


def connected(path: str) -> socket.socket:
    """A client, as soon as somebody listens."""
    deadline = time.monotonic() + SECONDS
    while True:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(SECONDS)
        try:
            client.connect(path)
            return client
        except OSError:
            client.close()
            assert time.monotonic() < deadline, "nobody listens"
            time.sleep(0.01)


def replies(client: socket.socket, *requests: str) -> list[dict[str, object]]:
    """The greeting, the answer to negotiation, then that to each request."""
    with client.makefile("rw", encoding="ascii", newline="\r\n") as stream:
        found = [json.loads(stream.readline())]
        for request in ('{"execute":"qmp_capabilities"}', *requests):
            stream.write(request)
            stream.flush()
            found.append(json.loads(stream.readline()))
    return found


def test_the_stock_client_sees_the_recorded_machine(start: Start, path: str) -> None:
    process = start(qemu=("-name", "vm1", "-S"))
    connected(path).close()

    async def ask() -> tuple[object, ...]:
        client = QMPClient("test")
        await client.connect(path)
        line = {"command-line": "info mtree -f"}
        answers = [
            await client.execute("query-name"),
            await client.execute("human-monitor-command", line),
            await client.execute("x-query-ramblock"),
        ]
        await client.disconnect()
        return tuple(answers)

    name, flat, blocks = asyncio.run(ask())
    assert name == {"name": "vm1"}
    assert 'AS "memory", root: system\r\n' in str(flat)
    assert isinstance(blocks, dict)
    assert "pc.ram" in blocks["human-readable-text"]
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=SECONDS)
    assert out == ""
    sender = Path("/proc/self/cmdline").read_bytes().partition(b"\0")[0].decode()
    assert err == f"qshim: terminating on signal 15 from pid {os.getpid()} ({sender})\n"
    assert process.returncode == 0
    assert not os.path.exists(path)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_is_announced_to_clients(start: Start, path: str, number: signal.Signals) -> None:
    process = start()
    with connected(path) as client:
        replies(client)
        process.send_signal(number)
        event = json.loads(client.recv(4096))
        assert (event["event"], event["data"]) == ("SHUTDOWN", {"guest": False, "reason": "host-signal"})
        assert client.recv(1) == b""
    assert process.wait(SECONDS) == 0
    assert not os.path.exists(path)


def test_quit_ends_with_status_0(start: Start, path: str) -> None:
    process = start()
    with connected(path) as client:
        greeting, _, event = replies(client, '{"execute":"quit"}')
        assert "QMP" in greeting
        assert event["event"] == "SHUTDOWN"
    assert process.wait(SECONDS) == 0


def test_the_dialect_is_the_recordings_unless_told(start: Start, path: str) -> None:
    process = start(PC, "--qemu-version", "7.2")
    with connected(path) as client:
        greeting, _, status = replies(client, '{"execute":"query-status"}')
    version = {"qemu": {"major": 7, "minor": 2, "micro": 0}, "package": "qshim"}
    assert greeting["QMP"] == {"version": version, "capabilities": ["oob"]}
    assert status["return"] == {"status": "prelaunch", "running": False, "singlestep": False}
    process.terminate()
    _, err = process.communicate(timeout=SECONDS)
    assert err.startswith("qshim: a machine of QEMU 10.0, shown as QEMU 7.2 shows it\n")


def test_a_recording_that_contradicts_itself_ends_with_status_3(start: Start, path: str, tmp_path: Path) -> None:
    recording = load(PC)
    broken = {**recording.hmp, "info mtree -f -d -o": recording.hmp["info mtree -f -d -o"][:40]}
    save(replace(recording, hmp=broken), tmp_path / "broken.qrec")
    process = start(tmp_path / "broken.qrec")
    out, err = process.communicate(timeout=SECONDS)
    assert (process.returncode, out) == (3, "")
    assert err.startswith("qshim: ")
    assert "Traceback" not in err
    assert not os.path.exists(path)


def test_the_log_goes_to_stderr(start: Start, path: str) -> None:
    process = start(PC, "--log-level", "info")
    connected(path).close()
    process.terminate()
    out, err = process.communicate(timeout=SECONDS)
    assert out == ""
    assert f"qshim: serving unix:{path},server=on\n" in err


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (
            ["--recording", str(PC)],
            2,
            "no monitor to serve; add for example: -- -qmp unix:/tmp/qshim.sock,server=on,wait=off",
        ),
        (["--recording", str(PC), "--", "-m", "4G", "-qmp", "null"], 2, "-m: --recording says what the machine is"),
        (["--", "-qmp", "unix:/nonexistent/q,server=on,wait=off"], 2, "no machine; name one with --recording FILE, or"),
        (
            ["--recording", str(PC), "--", "-qmp", "unix:/nonexistent/q,server=on,wait=off"],
            2,
            "No such file or directory",
        ),
        (
            ["--recording", "/nonexistent", "--", "-qmp", "unix:/nonexistent/q,server=on,wait=off"],
            3,
            "there is no file",
        ),
        (["--recording", str(PC), "--", "-qmp", "tcp:192.0.2.1:1,server=on,wait=off"], 2, "uses TCP on loopback only"),
    ],
)
def test_refused(capsys: pytest.CaptureFixture[str], words: list[str], status: int, message: str) -> None:
    assert main(["serve", *words]) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1


def test_files_are_written_only_where_it_is_allowed(start: Start, path: str, tmp_path: Path) -> None:
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    (allowed / "link").symlink_to(tmp_path)
    for words, name, desc in (
        ((), "x", "qshim writes no files for monitor clients; start it with --allow-writes DIR"),
        (("--allow-writes", str(allowed)), "../x", "(--allow-writes)"),
        (("--allow-writes", str(allowed)), "link/x", "(--allow-writes)"),
        (("--allow-writes", str(allowed)), "x", None),
    ):
        process = start(PC, *words)
        save = {"execute": "pmemsave", "arguments": {"val": 0, "size": 4096, "filename": f"{allowed}/{name}"}}
        with connected(path) as client:
            *_, reply = replies(client, json.dumps(save))
        if desc is None:
            assert reply == {"return": {}}
            assert (allowed / "x").stat().st_size == 4096
        else:
            assert desc in str(reply["error"])
            assert not (tmp_path / "x").exists()
        process.terminate()
        assert process.wait(SECONDS) == 0


def test_a_machine_behind_the_dashes(start: Start, path: str) -> None:
    command = [sys.executable, "-m", "qshim", "serve", "--target", "aarch64", "--qemu-version", "10.0", "--"]
    with subprocess.Popen([*command, "-M", "virt", "-qmp", f"unix:{path},server=on,wait=off"]) as process:
        with connected(path) as client:
            *_, target, status = replies(client, '{"execute":"query-target"}', '{"execute":"query-status"}')
        assert target == {"return": {"arch": "aarch64"}}
        assert status == {"return": {"status": "running", "running": True}}
        process.terminate()
        assert process.wait(SECONDS) == 0


def test_a_greeting_waits_for_no_import_that_it_does_not_need(path: str) -> None:
    """Each of them takes a tenth of the whole start or more (tests/bench/run.py measures it)."""
    command = [sys.executable, "-X", "importtime", "-m", "qshim", "serve", "--recording", str(PC), "--"]
    monitor = ["-qmp", f"unix:{path},server=on,wait=off"]
    process = subprocess.Popen([*command, *monitor], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        client = connected(path)
        assert client.recv(1 << 16).startswith(b'{"QMP"')
        client.close()
    finally:
        process.terminate()
        stderr = process.communicate()[1]
    imported = [line.rpartition("|")[2].strip() for line in stderr.splitlines() if line.startswith("import time:")]
    assert "qshim.edge.server" in imported
    needless = {"importlib.resources", "tempfile", "zipfile", "qshim.monitor.hmp.session", "qshim.monitor.schema.load"}
    assert not needless & set(imported)
    # the memory is made behind the greeting
    assert "qshim.memory" not in imported or imported.index("qshim.edge.server") < imported.index("qshim.memory")
