"""Who may talk to whom: TLS, certificates, passwords, and requests from strangers."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.bridge.test_commands import BOMBS
from tests.mqtt.conftest import Start
from tests.mqtt.test_bridge import QUESTIONS, bridge, check_schema, known, wait_for
from tests.support.certificates import make_certificates
from tests.support.fake_monitors import TREE, Machine, Monitors
from tests.support.mosquitto import Mosquitto, free_port
from tests.support.mqtt_client import Client

PASSWORD = "correct horse battery staple"


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificates(tmp_path_factory.mktemp("mqtt") / "pki")


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Machine]:
    with Monitors(tmp_path, ["web"]) as monitors:
        yield monitors.machines[0]


def tls_lines(pki: Path, *, clients: bool) -> tuple[str, ...]:
    lines = (f"certfile {pki}/server-cert.pem", f"keyfile {pki}/server-key.pem", f"cafile {pki}/ca-cert.pem")
    return (*lines, "require_certificate true") if clients else lines


@pytest.mark.parametrize("clients", [False, True], ids=["server's certificate", "both certificates"])
def test_tls(clients: bool, pki: Path, start: Start, web: Machine, tmp_path: Path) -> None:
    context = ssl.create_default_context(cafile=str(pki / "ca-cert.pem"))
    context.load_cert_chain(pki / "client-cert.pem", pki / "client-key.pem")
    with Mosquitto(tmp_path, *tls_lines(pki, clients=clients)) as broker:
        url = f"mqtts://localhost:{broker.port}"
        ours = ("--mqtt-cert", f"{pki}/client-cert.pem", "--mqtt-key", f"{pki}/client-key.pem") if clients else ()
        common = ("bridge", "--mqtt", url, "--host", "lab", "--attach", str(web.path), "--allow-commands")
        with Client(broker.port, "qshim/#", tls=context) as client:
            process = start(*common, "--mqtt-ca", f"{pki}/ca-cert.pem", *ours)
            client.wait(known("web"))
            # many messages in one TLS record: what is decoded already must not wait for more to come
            for number in range(50):
                ask(client, str(number), execute="query-name")
            client.wait(lambda r: sum(m.topic.endswith("/reply") for m in r) == 50)
            assert process.end() == 0, process.said
            # paho-mqtt leaves the socket of a handshake that failed to the garbage collector
            warnings = "error,ignore:unclosed <ssl.SSLSocket:ResourceWarning"
            untrusting = start(*common, *ours, PYTHONWARNINGS=warnings)
            assert untrusting.wait() == 3
            assert "certificate verify failed" in untrusting.said
            if clients:
                bare = start(*common, "--mqtt-ca", f"{pki}/ca-cert.pem")
                assert bare.wait() == 3, bare.said
                assert "certificate required" in bare.said
        plain = start("bridge", "--mqtt", broker.url, "--attach", str(web.path))
        wait_for(lambda: "trying again" in plain.said or plain.process.poll() is not None, plain)


class Gatherer:
    """TLS in front of a broker: what the broker says within a while goes out as one TLS record."""

    def __init__(self, pki: Path, broker: Mosquitto) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(pki / "server-cert.pem", pki / "server-key.pem")
        self._broker = broker.port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._open: list[socket.socket] = [self._server]
        self._threads = [threading.Thread(target=self._serve, daemon=True)]
        self._threads[0].start()

    def _serve(self) -> None:
        peer = self._context.wrap_socket(self._server.accept()[0], server_side=True)
        broker = socket.create_connection(("127.0.0.1", self._broker))
        self._open += [peer, broker]
        self._threads.append(threading.Thread(target=self._answers, args=(broker, peer), daemon=True))
        self._threads[1].start()
        with suppress(OSError):
            while data := peer.recv(1 << 14):
                broker.sendall(data)

    def _answers(self, broker: socket.socket, peer: socket.socket) -> None:
        with suppress(OSError):
            while data := broker.recv(1 << 14):
                # one write of less than 16 KiB is one record
                peer.sendall(data)
                time.sleep(0.3)

    def close(self) -> None:
        for each in reversed(self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(20)
        for each in self._open:
            each.close()


def test_many_messages_in_one_record(pki: Path, broker: Mosquitto, start: Start, web: Machine) -> None:
    """What TLS has decoded already does not wait until more comes."""
    with closing(Gatherer(pki, broker)) as gatherer, Client(broker.port, "qshim/#") as client:
        start(
            "bridge", "--mqtt", f"mqtts://localhost:{gatherer.port}", "--host", "lab", "--attach", str(web.path),
            "--mqtt-ca", f"{pki}/ca-cert.pem", "--poll", "60", "--allow-commands",
        )  # fmt: skip
        client.wait(known("web"))
        time.sleep(1)
        # nothing answers these, so that nothing but the last one makes the broker say more
        for _ in range(20):
            client.publish("qshim/lab/web/command", b"")
        ask(client, "last", execute="query-name")
        answer(client, "last")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--mqtt-ca", "/nowhere"), "--mqtt-ca /nowhere: No such file"),
        (("--mqtt-ca", "{pki}/ca-key.pem"), "--mqtt-ca"),
        (("--mqtt-cert", "{pki}/client-cert.pem"), "--mqtt-cert"),
        (("--mqtt-cert", "{pki}/client-cert.pem", "--mqtt-key", "{pki}/server-key.pem"), "--mqtt-cert"),
        (("--mqtt-key", "{pki}/client-key.pem"), "name the certificate, too"),
    ],
)
def test_files_that_are_wrong(words: tuple[str, ...], reason: str, pki: Path, start_one: Start) -> None:
    filled = [word.format(pki=pki) for word in words]
    process = start_one("bridge", "--mqtt", "mqtts://127.0.0.1:1", "--attach", "/a", *filled)
    assert process.wait() == 2
    assert reason in process.said


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker that lets nobody but `lab` in."""
    broker = Mosquitto(tmp_path, "allow_anonymous false", f"password_file {tmp_path}/passwords")
    subprocess.run(["mosquitto_passwd", "-b", "-c", tmp_path / "passwords", "lab", PASSWORD], check=True)
    with broker:
        yield broker


@pytest.mark.parametrize("way", ["file", "environment"])
def test_the_password_is_seen_nowhere(
    way: str, guarded: Mosquitto, start: Start, web: Machine, tmp_path: Path
) -> None:
    (tmp_path / "credentials").write_text(f"lab\n{PASSWORD}\n")
    more = ("--mqtt-credentials", str(tmp_path / "credentials")) if way == "file" else ()
    environment = {} if more else {"QSHIM_MQTT_USER": "lab", "QSHIM_MQTT_PASSWORD": PASSWORD}
    with Client(guarded.port, "qshim/#", user="lab", password=PASSWORD) as client:
        process = bridge(start, guarded, [web], "--log-level", "debug", *more, **environment)
        client.wait(known("web"))
        words = Path(f"/proc/{process.process.pid}/cmdline").read_bytes()
        assert process.end() == 0
        for text in (words.decode(), process.said, process.out, *(m.payload.decode() for m in client.all)):
            assert "horse" not in text


@pytest.mark.parametrize(
    "environment",
    [{}, {"QSHIM_MQTT_USER": "lab", "QSHIM_MQTT_PASSWORD": "wrong horse"}, {"QSHIM_MQTT_USER": "nobody"}],
    ids=["none", "wrong", "nobody"],
)
def test_a_wrong_password(environment: dict[str, str], guarded: Mosquitto, start: Start, web: Machine) -> None:
    process = bridge(start, guarded, [web], **environment)
    assert process.wait() == 3
    assert "do not come together" in process.said
    assert "horse" not in process.said


def test_a_served_machine_ends_where_the_broker_does_not_let_it_in(
    guarded: Mosquitto, start: Start, tmp_path: Path
) -> None:
    words = ("--recording", "isapc", "--", "-qmp", f"unix:{tmp_path}/qmp.sock,server=on,wait=off")
    process = start("serve", "--mqtt", guarded.url, *words)
    assert process.wait() == 3
    assert "do not come together" in process.said


def test_a_password_without_a_user(start_one: Start) -> None:
    process = start_one("bridge", "--mqtt", "mqtt://h", "--attach", "/a", QSHIM_MQTT_PASSWORD="horse")
    assert process.wait() == 2
    assert "QSHIM_MQTT_USER is not" in process.said
    assert "horse" not in process.said


def test_a_password_that_is_changed_while_the_bridge_runs(
    guarded: Mosquitto, start: Start, web: Machine, tmp_path: Path
) -> None:
    environment = {"QSHIM_MQTT_USER": "lab", "QSHIM_MQTT_PASSWORD": PASSWORD}
    process = bridge(start, guarded, [web], **environment)
    with Client(guarded.port, "qshim/#", user="lab", password=PASSWORD) as client:
        client.wait(known("web"))
    guarded.stop()
    subprocess.run(["mosquitto_passwd", "-b", tmp_path / "passwords", "lab", "other"], check=True)
    guarded.start()
    log = tmp_path / "mosquitto.log"
    wait_for(lambda: "not authorised" in log.read_text(errors="replace"), process)
    guarded.stop()
    subprocess.run(["mosquitto_passwd", "-b", tmp_path / "passwords", "lab", PASSWORD], check=True)
    guarded.start()
    with Client(guarded.port, "qshim/#", user="lab", password=PASSWORD) as client:
        client.wait(known("web"))


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_websockets(scheme: str, pki: Path, start: Start, web: Machine, tmp_path: Path) -> None:
    port = free_port()
    tls = tls_lines(pki, clients=False) if scheme == "wss" else ()
    with (
        Mosquitto(tmp_path, f"listener {port} 127.0.0.1", "protocol websockets", *tls) as broker,
        Client(broker.port, "lab/#") as client,
    ):
        url = f"{scheme}://localhost:{port}/mqtt?prefix=lab"
        more = ("--mqtt-ca", f"{pki}/ca-cert.pem") if tls else ()
        process = start("bridge", "--mqtt", url, "--host", "h", "--attach", str(web.path), "--allow-commands", *more)
        client.seen("lab/h/web/layout/full")
        for number in range(50):
            client.publish("lab/h/web/command", json.dumps({"id": str(number), "execute": "query-name"}).encode())
        client.wait(lambda r: {m.json["id"] for m in r if m.topic.endswith("/reply")} == {str(n) for n in range(50)})
        source = f"{scheme}://localhost:{port}/mqtt?prefix=lab/h/web"
        same = start("diff", *more, source, source)
        assert same.wait() == 0, same.said
        broker.stop()
        wait_for(lambda: "trying again" in process.said, process)
        broker.start()
        with Client(broker.port, "lab/#") as after:
            after.seen("lab/h/web/layout/full")
        assert process.end() == 0, process.said


def ask(client: Client, id_: str, **members: Any) -> None:
    client.publish("qshim/lab/web/command", json.dumps({"id": id_, **members}).encode())


def answer(client: Client, id_: str | None, **members: Any) -> Any:
    return client.next("qshim/lab/web/command/reply", id=id_, **members).json


CHANGING: tuple[dict[str, Any], ...] = (
    {"execute": "stop"}, {"execute": "quit"}, {"execute": "device_add", "arguments": {}},
    {"execute": "human-monitor-command", "arguments": {"command-line": "quit"}},
    {"execute": "human-monitor-command", "arguments": {"command-line": "info status"}},
    {"execute": "qmp_capabilities"}, {"execute": "qom-list-types"}, {"execute": "qom-set"},
    {"info": "status\nquit"}, {"exec-oob": "query-status"},
)  # fmt: skip


def test_commands(broker: Mosquitto, start: Start, web: Machine) -> None:
    with Client(broker.port, "qshim/#") as client:
        bridge(start, broker, [web], "--allow-commands")
        client.wait(known("web"))
        ask(client, "1", execute="query-name")
        assert answer(client, "1")["return"] == {"name": "web"}
        ask(client, "2", info="ramblock")
        assert answer(client, "2")["return"][0].split() == ["Block", "Name", "PSize", "Offset", "Used", "Total"]
        ask(client, "3", execute="query-nothing")
        assert answer(client, "3")["error"]["class"] == "CommandNotFound"
        ask(client, "4", info="nothing")
        assert answer(client, "4")["error"] == {"class": "CommandNotFound", "desc": "unknown command: 'info nothing'"}
        for number, refused in enumerate(CHANGING, 5):
            ask(client, str(number), **refused)
            assert answer(client, str(number))["refused"]
        check_schema(client.all)
    assert set(web.asked) - QUESTIONS == {"query-nothing", "info nothing"}


def test_hostile_requests(broker: Mosquitto, start: Start, web: Machine) -> None:
    with Client(broker.port, "qshim/#") as client:
        process = bridge(start, broker, [web], "--allow-commands", "query-*,info,x-*,*")
        client.wait(known("web"))
        for name, bomb in BOMBS.items():
            client.publish("qshim/lab/web/command", bomb)
            if bomb:
                assert client.next("qshim/lab/web/command/reply").json["refused"], name
        client.publish("qshim/lab/web/command", b"x" * (1 << 20))
        assert "may have 65536" in client.next("qshim/lab/web/command/reply").json["refused"]
        for topic in ("qshim/lab/other/command", "qshim/lab//command", "qshim/lab/web/command/x", "qshim/lab/command"):
            client.publish(topic, b'{"id":"x","execute":"query-name"}')
        # more than anybody wants to answer: some are, some are refused, and what nobody looks at in time is gone
        for number in range(3000):
            ask(client, f"f{number}", execute="query-name")
        client.wait(lambda r: sum(m.topic.endswith("/reply") for m in r) >= 500)
        while not any(m.topic.endswith("/reply") and m.json["id"] == "last" for m in list(client.all)):
            ask(client, "last", execute="query-name")
            time.sleep(0.1)
        assert process.end() == 0
        check_schema(client.all)
    assert set(web.asked) <= QUESTIONS


def test_a_retained_request_is_refused(broker: Mosquitto, start: Start, web: Machine) -> None:
    with Client(broker.port, "qshim/#") as client:
        client.publish("qshim/lab/web/command", b'{"id":"r","execute":"query-later"}', retain=True)
        client.next("qshim/lab/web/command")
        bridge(start, broker, [web], "--allow-commands")
        client.wait(known("web"))
        ask(client, "1", execute="query-name")
        answer(client, "1")
        # taking it away is no request
        client.publish("qshim/lab/web/command", b"", retain=True)
        ask(client, "2", execute="query-name")
        answer(client, "2")
        replies = [m.json for m in client.all if m.topic.endswith("/reply")]
        assert all(r["id"] in ("1", "2") or "retain" in r["refused"] for r in replies)
    assert "query-later" not in web.asked


def test_no_command_topic_unless_asked_for(broker: Mosquitto, start: Start, web: Machine) -> None:
    with Client(broker.port, "qshim/#") as client:
        process = bridge(start, broker, [web])
        client.wait(known("web"))
        ask(client, "1", execute="query-later")
        # the bridge receives in order, so what it was not told of before its goodbye it will never be told of
        assert process.end() == 0
        client.wait(lambda r: any(m.payload == b"offline" for m in r))
        assert not any("reply" in m.topic for m in client.all)
    assert "query-later" not in web.asked


def test_a_line_that_would_hang_a_machine(broker: Mosquitto, start_one: Start, web: Machine) -> None:
    web.answers = {"qom-get": "magnum-machine"}
    web.texts = {"info mtree -D": TREE.replace(" parent:{obj path=/machine}", "")}
    with Client(broker.port, "qshim/#") as client:
        bridge(start_one, broker, [web], "--allow-commands")
        client.wait(known("web"))
        ask(client, "1", info="mtree -f -o")
        assert answer(client, "1")["refused"] == "`info mtree -f -o` would hang this QEMU"
        ask(client, "2", info="mtree -f")
        assert answer(client, "2")["return"]
    assert not any("-o" in question for question in web.asked), "nor does the bridge itself ask so"


def test_a_command_that_is_named_in_full_changes_a_machine(
    broker: Mosquitto, start_one: Start, web: Machine
) -> None:
    web.answers = {"stop": {}}
    with Client(broker.port, "qshim/#") as client:
        bridge(start_one, broker, [web], "--allow-commands", "stop")
        client.wait(known("web"))
        ask(client, "1", execute="stop")
        assert answer(client, "1")["return"] == {}
        ask(client, "2", execute="query-name")
        assert "is not allowed here; allowed: stop" in answer(client, "2")["refused"]


def test_requests_while_the_machine_is_away(broker: Mosquitto, start_one: Start, tmp_path: Path) -> None:
    with Monitors(tmp_path, ["web"]) as monitors, Client(broker.port, "qshim/#") as client:
        bridge(start_one, broker, monitors.machines, "--allow-commands")
        client.wait(known("web"))
        monitors.do(monitors.machines[0].stop())
        client.next("qshim/lab/web/state", attached=False)
        ask(client, "1", execute="query-name")
        assert "cannot be talked to" in answer(client, "1")["refused"]
