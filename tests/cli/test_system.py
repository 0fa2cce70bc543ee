"""The drop-ins: recorded command lines of real QEMUs, and machines as processes."""

from __future__ import annotations

import asyncio
import json
import lzma
import os
import re
import shlex
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from qshim.argv import CommandLine
from qshim.cli import system
from qshim.cli.recordings import find
from qshim.edge import process
from qshim.edge.chardevs import Policy
from qshim.edge.server import Server
from qshim.versions import KNOWN
from qshim.vm import Vm
from tests.cli.cli_differences import DIFFERENT

CASES = Path(__file__).parents[2] / "fixtures" / "monitor" / "cli-cases.jsonl.xz"
# /nonexistent was a file for some of the rows, and may be one here
TEXT = lzma.decompress(CASES.read_bytes()).decode().replace("/nonexistent", "/proc/self/nonexistent")
ROWS = [json.loads(line) for line in TEXT.replace("Not a directory", "No such file or directory").splitlines()]
SECONDS = 30


def briefly(vm: Vm, line: CommandLine, policy: Policy, *, program: str) -> None:
    """Everything that a machine does before it serves somebody."""

    async def start() -> None:
        server = Server(vm, line, policy, program=program)
        await server.start()
        vm.build()
        for said in vm.said:
            print(f"{program}: {said}", file=sys.stderr)
        server.close()

    if line.log_file is not None:
        process._log_file(line.log_file)
    if line.pidfile is not None:
        process._PidFile(line.pidfile).remove()
    asyncio.run(start())
    raise _Runs


class _Runs(BaseException):
    pass


def masked(text: str) -> str:
    """Without who sent a signal, missing modules of a graphical interface, and the distribution's name."""
    text = re.sub(r".*terminating on signal 15 .*\n", "", text)
    return re.sub(r"\((Debian|qshim).*\)", "(package)", re.sub(r"qemu: module .*\n", "", text))


@pytest.mark.parametrize("label", KNOWN)
def test_recorded_command_lines(
    label: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("QSHIM_QEMU_VERSION", label)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(process, "serve", briefly)
    different = set()
    for row in ROWS:
        try:
            status: object = system.emulate("x86_64", shlex.split(row["args"]), program="qemu-system-x86_64")
        except _Runs:
            status = "RUNS"
        out, err = capsys.readouterr()
        told: dict[str, Any] = row["results"][label]
        same = masked(out) == masked(told["stdout"]) or (told["stdout"] and out.startswith(told["stdout"][:400]))
        if status != told["exit"] or masked(err) != masked(told["stderr"]) or not same:
            different.add(row["name"])
    expected = {name for names in DIFFERENT.values() for name in names if "@" not in name}
    expected |= {name.partition("@")[0] for names in DIFFERENT.values() for name in names if name.endswith(f"@{label}")}
    assert sorted(different) == sorted(expected)


@contextmanager
def machine(tmp_path: Path, *words: str, version: str = "11.1", **more: Any) -> Iterator[subprocess.Popen[str]]:
    """The drop-in as a process, under the name of what it replaces."""
    name = tmp_path / "qemu-system-x86_64"
    if not name.exists():
        name.write_text(f"#!{sys.executable}\nimport sys\nfrom qshim.cli.system import x86_64\nsys.exit(x86_64())\n")
        name.chmod(0o755)
    env = {**os.environ, "QSHIM_QEMU_VERSION": version}
    with subprocess.Popen(
        [name, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.PIPE, text=True, cwd=tmp_path,
        env=env, **more,
    ) as running:  # fmt: skip
        try:
            yield running
        finally:
            running.kill()


def connected(path: Path) -> socket.socket:
    deadline = time.monotonic() + SECONDS
    while True:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(SECONDS)
        try:
            client.connect(str(path))
            return client
        except OSError:
            client.close()
            assert time.monotonic() < deadline, "nobody listens"
            time.sleep(0.01)


def test_a_signal_ends_it_as_it_ends_qemu(tmp_path: Path) -> None:
    words = ["-M", "q35", "-S", "-qmp", "unix:q,server=on,wait=off", "-pidfile", "p"]
    with machine(tmp_path, *words, umask=0o002) as running:
        with connected(tmp_path / "q") as client, client.makefile("rw", newline="\r\n") as stream:
            assert json.loads(stream.readline())["QMP"]["version"]["qemu"]["major"] == 11
            # the umask decides, as with QEMU
            assert stat.S_IMODE((tmp_path / "q").stat().st_mode) == 0o775
            assert (tmp_path / "p").read_text() == f"{running.pid}\n"
            assert stat.S_IMODE((tmp_path / "p").stat().st_mode) == 0o600
            stream.write('{"execute":"qmp_capabilities"}{"execute":"query-status"}')
            stream.flush()
            stream.readline()
            assert json.loads(stream.readline())["return"] == {"status": "prelaunch", "running": False}
            running.send_signal(signal.SIGTERM)
            event = json.loads(stream.readline())
            assert (event["event"], event["data"]) == ("SHUTDOWN", {"guest": False, "reason": "host-signal"})
            assert stream.readline() == ""
        out, err = running.communicate(timeout=SECONDS)
        sender = Path("/proc/self/cmdline").read_bytes().partition(b"\0")[0].decode()
        told = f"terminating on signal 15 from pid {os.getpid()} ({sender})"
        assert (running.returncode, out, err) == (0, "", f"qemu-system-x86_64: {told}\n")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["qemu-system-x86_64"]


def test_a_daemon_is_complete_when_its_parent_ends(tmp_path: Path) -> None:
    words = ["-M", "none", "-nodefaults", "-nographic", "-qmp", "unix:q,server=on,wait=off", "-pidfile", "p"]
    with machine(tmp_path, *words, "-daemonize") as running:
        pass_ = running.communicate(timeout=SECONDS)
        assert pass_[0] == ""
        assert running.returncode == 1
        assert "-nographic cannot be used with -daemonize" in pass_[1]
    words.remove("-nographic")
    with machine(tmp_path, *words, "-daemonize") as running:
        assert running.wait(SECONDS) == 0
        # nothing to wait for
        pid = int((tmp_path / "p").read_text())
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(SECONDS)
            client.connect(str(tmp_path / "q"))
            assert client.recv(2000).startswith(b'{"QMP"')
            with machine(tmp_path, *words) as second:
                _, err = second.communicate(timeout=SECONDS)
                lock = "Cannot lock pid file: Resource temporarily unavailable"
                assert (second.returncode, err) == (1, f"qemu-system-x86_64: cannot create PID file: {lock}\n")
            os.kill(pid, signal.SIGTERM)
            while client.recv(2000):
                pass
    deadline = time.monotonic() + SECONDS
    while (tmp_path / "p").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert not (tmp_path / "q").exists()


def test_what_a_daemon_cannot_have_is_said_by_its_parent(tmp_path: Path) -> None:
    with machine(tmp_path, "-M", "none", "-daemonize", "-qmp", "unix:no/q,server=on,wait=off") as running:
        _, err = running.communicate(timeout=SECONDS)
        assert running.returncode == 1
    where = "-qmp unix:no/q,server=on,wait=off"
    assert err == f"qemu-system-x86_64: {where}: Failed to bind socket to no/q: No such file or directory\n"


def test_stdio_carries_qmp_and_nothing_else(tmp_path: Path) -> None:
    with machine(tmp_path, "-M", "none", "-S", "-display", "none", "-qmp", "stdio", version="7.2") as running:
        out, err = running.communicate('{"execute":"qmp_capabilities"}\n{"execute":"quit"}\n', timeout=SECONDS)
        assert (running.returncode, err) == (0, "")
    kinds = [list(json.loads(line)) for line in out.splitlines()]
    assert kinds == [["QMP"], ["return"], ["timestamp", "event", "data"], ["return"]]


def test_remote_tcp_needs_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["-M", "none", "-qmp", "tcp:0.0.0.0:0,server=on,wait=off"]
    with machine(tmp_path, *words) as running:
        _, err = running.communicate(timeout=SECONDS)
        assert running.returncode == 1
    assert "qshim uses TCP on loopback only, not on '0.0.0.0'; QSHIM_ALLOW_REMOTE=1 permits more" in err


@pytest.mark.parametrize(
    ("target", "words", "message"),
    [
        ("aarch64", ["-M", "raspi3b", "-m", "4G"], "qshim serves raspi3b as recorded, with 1024 MiB of RAM, not"),
        ("aarch64", ["-M", "raspi3b", "-device", "e1000"], "-device e1000: qshim serves raspi3b as recorded"),
        ("x86_64", ["-M", "q35", "-kernel", "/dev/null"], "-kernel /dev/null: qshim loads no kernel"),
        ("x86_64", ["-M", "q35", "-device", "nosuch"], "-device nosuch: 'nosuch' is not a valid device model name"),
        ("aarch64", [], "No machine specified, and there is no default\nUse -machine help to list supported machines"),
        ("aarch64", ["-M", "sx1"], "Kernel or Flash image must be specified"),
    ],
)
def test_what_is_not_to_be_had(
    capsys: pytest.CaptureFixture[str], target: str, words: list[str], message: str
) -> None:
    assert system.emulate(target, words, program="prog") == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"prog: {message}")


def test_an_unknown_version(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QSHIM_QEMU_VERSION", "9.9")
    assert system.emulate("x86_64", [], program="prog") == 1
    assert capsys.readouterr().err == "prog: QSHIM_QEMU_VERSION is '9.9'; qshim speaks QEMU 7.2, 10.0, 11.1\n"


DROP_IN = sorted((Path(system.__file__).parents[1] / "data" / "drop-in").glob("*/*/*.qrec.xz"))


@pytest.mark.parametrize("path", DROP_IN, ids=lambda p: "/".join(p.parts[-3:]))
def test_recordings_of_the_drop_ins_are_served(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from qshim.argv import parse
    from qshim.cli import machines
    from qshim.layout.verify import verify
    from qshim.recording.rebuild import rebuild

    label, target = path.parts[-3:-1]
    name = path.name.removesuffix(".qrec.xz")
    words = ["-S", "-M", name.removesuffix(".nodefaults"), *(["-nodefaults"] if name.endswith(".nodefaults") else [])]
    found = machines.find(parse(words, label, target), target, label)
    assert found == find(str(path))
    assert not list(verify(found, rebuild(found)))


SHIPPED = sorted((Path(system.__file__).parents[1] / "data" / "recordings").glob("*/*/*.qrec.xz"))


def test_every_shipped_recording_is_found_by_its_machine_type() -> None:
    from qshim.argv import parse
    from qshim.cli import machines

    for path in SHIPPED[::7]:
        label, target = path.parts[-3:-1]
        name = path.name.removesuffix(".qrec.xz")
        assert machines.find(parse(["-M", name], label, target), target, label).machine == name


@pytest.mark.parametrize("label", KNOWN)
async def test_the_machines_of_arm_are_those_of_aarch64(label: str) -> None:
    from qshim.argv import parse
    from qshim.cli import machines
    from qshim.edge.capture import capture_started
    from tests.support.oracle import needs

    real = (await capture_started(needs(label, "arm"), ["-M", "virt"])).recording
    ours = machines.find(parse(["-M", "virt"], label, "arm"), "arm", label)
    for command in ("info mtree -o -D", "info mtree -f -d -o", "info ramblock", "info qom-tree", "info qtree"):
        assert ours.hmp.get(command) == real.hmp.get(command), command
