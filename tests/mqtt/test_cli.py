"""The other subcommands that talk to a broker: serve, crosscheck, check, diff, migrate-check, watch."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import qshim
from tests.mqtt.conftest import ROOT, Start, python_of
from tests.mqtt.test_bridge import bridge, check_schema, known, wait_for
from tests.support.fake_monitors import Monitors
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt_client import Client

NOBODY = "mqtt://127.0.0.1:1"


def qmp(path: Path, *commands: dict[str, object]) -> None:
    """Send these; what is answered does not matter."""
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(str(path))
        lines = peer.makefile("rb")
        lines.readline()
        for command in ({"execute": "qmp_capabilities"}, *commands):
            peer.sendall(json.dumps(command).encode())
            while b'"event"' in lines.readline():
                pass
        lines.close()


def test_a_served_machine(broker: Mosquitto, start: Start, tmp_path: Path) -> None:
    path = tmp_path / "qmp.sock"
    with Client(broker.port, "lab/#") as client:
        process = start(
            "serve", "--mqtt", f"{broker.url}/lab", "--host", "h", "--poll", "0.5", "--allow-commands", "--",
            "-M", "q35", "-m", "256M,slots=2,maxmem=1G", "-name", "web", "-S",
            "-qmp", f"unix:{path},server=on,wait=off",
        )  # fmt: skip
        assert client.seen("lab/h/web/state").json["monitor"] == "in process"
        layout = client.seen("lab/h/web/layout").json
        assert (layout["machine"], layout["qemu"]) == ("pc-q35-11.1", "11.1")
        client.publish("lab/h/web/command", b'{"id":"1","info":"status"}')
        assert client.next("lab/h/web/command/reply").json["return"] == ["VM status: paused (prelaunch)"]
        qmp(path, {"execute": "cont"}, {"execute": "object-add", "arguments":
            {"qom-type": "memory-backend-ram", "id": "m", "size": 1 << 20}})  # fmt: skip
        assert client.seen("lab/h/web/event/RESUME").json["sequence"] == 1
        assert client.seen("lab/h/web/state", status="running").json["running"] is True
        qmp(path, {"execute": "quit"})
        assert client.seen("lab/h/web/event/SHUTDOWN").json["data"] == {"guest": False, "reason": "host-qmp-quit"}
        assert process.wait() == 0, process.said
        gone = client.seen("lab/h/web/state", attached=False).json
        assert gone["reason"] == "the machine has quit"
        client.wait(lambda r: any(m.payload == b"offline" for m in r))
        for message in client.all:
            assert message.topic.startswith("lab/h/")
        check_schema([m._replace(topic=f"qshim{m.topic.removeprefix('lab')}") for m in client.all])


def test_a_served_machine_does_not_wait_for_a_broker(start_one: Start, tmp_path: Path) -> None:
    path = tmp_path / "qmp.sock"
    process = start_one(
        "serve", "--mqtt", NOBODY, "--recording", "isapc", "--", "-qmp", f"unix:{path},server=on,wait=off"
    )
    wait_for(lambda: "trying again" in process.said, process)
    qmp(path, {"execute": "query-status"}, {"execute": "quit"})
    assert process.wait() == 0


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """The monitor of a machine of ours."""
    with qshim.running("isapc") as vm:
        yield str(vm.address)


@pytest.mark.parametrize("vm", [None, "web"])
def test_the_verdict_of_a_crosscheck(vm: str | None, broker: Mosquitto, start: Start, served: str) -> None:
    name = vm or Path(served).stem
    with Client(broker.port, "qshim/#") as client:
        process = start(
            "crosscheck", "--mqtt", broker.url, "--host", "lab", "--attach", served, *(("--vm", vm) if vm else ())
        )
        assert process.wait() == 0, process.said
        message = client.seen(f"qshim/lab/{name}/crosscheck")
        verdict = message.json
        assert (verdict["verdict"], verdict["exit_status"], verdict["found"]) == ("same", 0, 0)
        assert verdict["report"]["schema"] == "qshim/report/1"
        other = start("crosscheck", "--mqtt", broker.url, "--host", "lab", "--attach", served, "--vm", name,
                      "--against", str(ROOT / "qshim/data/recordings/11.1/x86_64/pc-q35-11.1.qrec.xz"))  # fmt: skip
        assert other.wait() == 1, other.said
        assert client.seen(f"qshim/lab/{name}/crosscheck", verdict="differs").json["found"] > 10
        # what could not be done replaces what is true no more
        gone = start("crosscheck", "--mqtt", broker.url, "--host", "lab", "--attach", "/nowhere", "--vm", name)
        assert gone.wait() == 3
        last = client.seen(f"qshim/lab/{name}/crosscheck", verdict="nothing compared").json
        assert (last["exit_status"], last["report"]) == (3, None)
        check_schema(client.all)
    with Client(broker.port, "qshim/#") as later:
        assert later.seen(f"qshim/lab/{name}/crosscheck").retain


def test_the_name_of_a_crosschecked_machine(broker: Mosquitto, start_one: Start) -> None:
    with Client(broker.port, "qshim/#") as client:
        for words, name in (
            (("-M", "q35,smm=off", "-m", "1G"), "q35"), (("-machine", "type=pc"), "pc"), ((), "default"),
            (("-M", "pc", "-name", "guest=web,debug-threads=on"), "web"),
        ):  # fmt: skip
            process = start_one("crosscheck", "--mqtt", broker.url, "--host", "h", "--qemu", "/nowhere", "--", *words)
            assert process.wait() == 3
            assert client.next(f"qshim/h/{name}/crosscheck").json["verdict"] == "nothing compared"


def test_the_verdict_of_a_check(broker: Mosquitto, start_one: Start, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    config = project / "qshim.toml"
    config.write_text('[[layout]]\nname = "a"\nsource = "argv:-M pc -m 1G"\n', encoding="utf-8")
    common = ("check", "--mqtt", broker.url, "--host", "lab", "--config", str(config))
    with Client(broker.port, "qshim/#") as client:
        assert start_one("check", "--config", str(config), "--update").wait() == 0
        assert start_one(*common).wait() == 0
        assert client.next("qshim/lab/project/check").json["verdict"] == "clean"
        config.write_text('[[layout]]\nname = "a"\nsource = "argv:-M pc -m 2G"\n', encoding="utf-8")
        process = start_one(*common, "--vm", "x", "--format", "json")
        assert process.wait() == 1
        verdict = client.next("qshim/lab/x/check").json
        assert verdict["verdict"] == "findings"
        assert verdict["report"] == json.loads(process.out)
        assert verdict["found"] == len(verdict["report"]["findings"]) > 0
        config.write_text('[[layout]]\nname = "a"\nsource = "argv:-M nothing"\n', encoding="utf-8")
        assert start_one(*common).wait() == 3
        assert client.next("qshim/lab/project/check").json["verdict"] == "incomplete"
        check_schema(client.all)


@pytest.mark.parametrize("passing", [True, False])
def test_a_verdict_that_cannot_be_published(passing: bool, start_one: Start, served: str) -> None:
    against = () if passing else ("--against", str(ROOT / "qshim/data/recordings/11.1/x86_64/pc-q35-11.1.qrec.xz"))
    process = start_one("crosscheck", "--mqtt", NOBODY, "--attach", served, *against)
    assert process.wait() == (3 if passing else 1), "a difference is not hidden"
    assert "was not published: the broker at mqtt://127.0.0.1:1 cannot be reached" in process.said
    assert process.out, "the report is printed all the same"


def test_wrong_options_are_told_before_anything_takes_long(start_one: Start) -> None:
    for words in (
        ("--mqtt", "nonsense"), ("--mqtt", "mqtts://h", "--mqtt-ca", "/nowhere"), ("--against", f"{NOBODY}/p/h/vm"),
    ):  # fmt: skip
        process = start_one("crosscheck", *words, "--attach", "/nowhere")
        assert process.wait() == 2, process.said


def test_two_hosts_compare_before_a_migration(broker: Mosquitto, start_one: Start, tmp_path: Path) -> None:
    with (
        Client(broker.port, "qshim/#") as client,
        qshim.running("q35", version="7.2") as old,
        qshim.running("q35", version="11.1") as new,
    ):
        for host, vm in (("one", old), ("two", new)):
            start_one("bridge", "--mqtt", broker.url, "--host", host, "--attach", str(vm.address))
            client.seen(f"qshim/{host}/{Path(str(vm.address)).stem}/layout/full")
        first, second = (
            f"{broker.url}/{m.topic.removesuffix('/layout/full')}" for m in client.all if m.topic.endswith("/full")
        )
        process = start_one("diff", first, second)
        assert process.wait() == 1, process.said
        assert start_one("diff", first, first).wait() == 0
        predicted = start_one("migrate-check", first, second, "--format", "json")
        assert predicted.wait() in (0, 1), predicted.said
        saved = tmp_path / "full.json"
        saved.write_bytes(next(m.payload for m in client.all if m.topic.endswith("/full")))
        for words in (("diff", str(saved), first), ("migrate-check", first, str(saved))):
            again = start_one(*words)
            assert again.wait() == 0, again.said
        assert start_one("migrate-check", str(saved), second).wait() == predicted.wait()
        config = tmp_path / "qshim.toml"
        config.write_text(f'[[layout]]\nname = "one"\nsource = "{first}"\n', encoding="utf-8")
        for more, status in ((("--update",), 0), ((), 0)):
            checked = start_one("check", "--config", str(config), *more)
            assert checked.wait() == status, checked.said + checked.out


@pytest.mark.parametrize(
    ("source", "status", "reason"),
    [
        ("{url}/qshim/lab/nothing", 3, "has kept nothing on qshim/lab/nothing/layout/full"),
        ("{url}/qshim/lab/text", 3, "holds no layout"),
        ("{url}/qshim/lab/omitted", 3, "90000 bytes are more than a message may have"),
        ("{url}/qshim/lab", 2, "PREFIX/HOST/VM"),
        (f"{NOBODY}/qshim/lab/web", 3, "cannot be reached"),
        ("mqtt://me:hush@127.0.0.1/qshim/lab/web", 2, "no password stand in it"),
    ],
)
def test_layouts_that_a_broker_has_not(
    source: str, status: int, reason: str, broker: Mosquitto, start_one: Start
) -> None:
    with Client(broker.port, "qshim/#") as client:
        client.publish("qshim/lab/text/layout/full", b"hello", retain=True)
        omitted = {"schema": "qshim/mqtt/1", "encoding": "omitted", "text": None, "bytes": 90000}
        client.publish("qshim/lab/omitted/layout/full", json.dumps(omitted).encode(), retain=True)
        client.seen("qshim/lab/omitted/layout/full")
        process = start_one("migrate-check", source.format(url=broker.url), "argv:-M pc")
        assert process.wait() == status, process.said
        assert reason in process.said
        assert "hush" not in process.said


def test_watch_once(broker: Mosquitto, start_one: Start, tmp_path: Path) -> None:
    with Monitors(tmp_path, ["web", "db"]) as monitors, Client(broker.port, "qshim/#") as client:
        process = bridge(start_one, broker, monitors.machines)
        client.wait(known("web", "db"))
        look = start_one("watch", "--mqtt", broker.url, "--once")
        assert look.wait() == 0, look.said
        lines = [line.split() for line in look.out.splitlines()]
        assert lines[0] == ["host", "machine", "state", "layout", "RAM", "cross-check", "check"]
        digest = client.seen("qshim/lab/web/layout").json["digest"][:12]
        assert [line[:4] for line in lines[1:3]] == [["lab", name, "running", digest] for name in ("db", "web")]
        assert lines[3] == ["2", "machines"]
        process.end(signal.SIGKILL)
        client.wait(lambda r: any(m.payload == b"offline" for m in r))
        assert "lab (offline)" in once(start_one, broker)
    assert once(start_one, Mosquitto(tmp_path), status=3) == ""


def once(start: Start, broker: Mosquitto, status: int = 0) -> str:
    look = start("watch", "--mqtt", broker.url, "--once")
    assert look.wait() == status, look.said
    return look.out


@pytest.mark.parametrize("library", ["asyncio-mqtt", "aiomqtt"])
def test_watch_on_a_terminal(library: str, broker: Mosquitto, start_one: Start, tmp_path: Path) -> None:
    with Monitors(tmp_path, ["web"]) as monitors, Client(broker.port, "qshim/#") as client:
        (web,) = monitors.machines
        bridge(start_one, broker, monitors.machines)
        client.wait(known("web"))
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 120, 0, 0))
        process = subprocess.Popen(
            [python_of(library), "-m", "qshim", "watch", "--mqtt", broker.url], stdin=theirs, stdout=theirs,
            stderr=theirs, env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm"},
        )  # fmt: skip
        os.close(theirs)
        screen = Screen(ours)
        try:
            screen.until("web", "running", "1 machine")
            web.status = "paused"
            monitors.do(web.fire(["STOP"]))
            screen.until("paused")
            # anybody may publish anything: nothing reaches the terminal that would move its cursor
            client.publish("qshim/lab/evil/state", b'{"schema":"qshim/mqtt/1","status":"\\u001b[2Jboo"}')
            screen.until("?[2Jboo", "2 machines")
            broker.stop()
            screen.until("cannot be reached")
            broker.start()
            with Client(broker.port, "qshim/#") as after:
                after.seen("qshim/lab/web/layout")
                web.status = "io-error"
                monitors.do(web.fire(["STOP"]))
                screen.until("io-error")
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
            screen.until("\x1b[?1049l", "\x1b[?25h")
        finally:
            process.kill()
            process.wait()
            os.close(ours)
        assert "Traceback" not in screen.text


class Screen:
    """What a program writes on a terminal."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        os.set_blocking(descriptor, False)
        self.text = ""
        self._from = 0

    def until(self, *words: str) -> None:
        """Read until all *words* have been written since the last call."""
        until = time.monotonic() + 30
        while not all(word in self._plain() for word in words):
            assert time.monotonic() < until, self.text[self._from :][-3000:]
            try:
                self.text += os.read(self._descriptor, 1 << 16).decode(errors="replace")
            except BlockingIOError:
                time.sleep(0.01)
            except OSError:
                # it has ended
                assert all(word in self._plain() for word in words), self.text[self._from :]
        self._from = len(self.text)

    def _plain(self) -> str:
        new = self.text[self._from :]
        return new + re.sub(r"\x1b\[[0-9;]*m", "", new)


def test_the_options_of_a_bridge_cost_nothing_at_the_start() -> None:
    """`qshim serve` defines the options of a bridge and imports nothing of it."""
    script = (
        "import sys; from qshim.cli import main\n"
        "for name in ('serve', 'bridge', 'watch', 'diff'):\n"
        "    main([name, '--help'])\n"
        "print(*sorted(sys.modules), file=sys.stderr)"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stderr.split()
    bridge = {name for name in told if name.startswith("qshim.bridge")}
    assert bridge == {"qshim.bridge", "qshim.bridge.defaults"}
    heavy = {"asyncio", "ssl", "gzip", "qshim.layout", "qshim.memory", "paho", "asyncio_mqtt", "rich"}
    assert heavy & set(told) == set()
