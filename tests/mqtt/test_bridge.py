"""`qshim bridge` between fake machines and a real broker: what is published, and what becomes of it."""

from __future__ import annotations

import json
import re
import signal
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from qshim.bridge.schema import MQTT_SCHEMA
from tests.mqtt.conftest import Qshim, Start
from tests.support.fake_monitors import Machine, Monitors
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt_client import Client, Received

VALIDATOR = Draft202012Validator(MQTT_SCHEMA)
QUESTIONS = {
    "qmp_capabilities", "query-version", "query-name", "query-status", "query-kvm", "query-target", "qom-get",
    "query-memdev", "query-memory-devices", "info mtree -o -D", "info mtree -f", "info ramblock",
    "info qom-tree /objects",
}  # fmt: skip
"""All that a bridge asks of its own accord."""


def bridge(start: Start, broker: Mosquitto, machines: Sequence[Machine], *more: str, **environment: str) -> Qshim:
    """A bridge that polls often."""
    attach = [word for machine in machines for word in ("--attach", str(machine.path))]
    return start("bridge", "--mqtt", broker.url, "--host", "lab", "--poll", "0.5", *attach, *more, **environment)


def known(*names: str) -> Callable[[list[Received]], bool]:
    """Whether the layouts of these machines have come."""
    topics = {f"qshim/lab/{name}/layout/full" for name in names}
    return lambda received: topics <= {message.topic for message in received}


def numbers(received: Sequence[Received], name: str) -> list[int]:
    """The numbers of the events of a machine, as they came."""
    found = [m.json for m in received if m.topic.startswith(f"qshim/lab/{name}/event/")]
    return [document["data"]["n"] for document in found]


def counted(name: str, count: int) -> Callable[[list[Received]], bool]:
    """Whether so many different events of a machine have come."""
    return lambda received: len(set(numbers(received, name))) >= count


def first_seen(found: Sequence[int]) -> list[int]:
    """*found* without what came again."""
    return list(dict.fromkeys(found))


def is_request(message: Received) -> bool:
    """Whether a test said it, not a bridge: on a command topic, or next to one."""
    return "command" in message.topic and not message.topic.endswith("/command/reply")


def check_schema(received: Sequence[Received]) -> None:
    """Every message of a bridge is as `qshim schema mqtt` says; status is a word."""
    for message in received:
        if message.topic.endswith("/status"):
            assert message.payload in (b"online", b"offline")
        elif message.payload and message.topic.startswith("qshim/") and not is_request(message):
            VALIDATOR.validate(message.json)


def test_state_layout_and_events(broker: Mosquitto, start: Start, tmp_path: Path) -> None:
    with Monitors(tmp_path, ["web/1 +x", None]) as monitors, Client(broker.port, "#") as client:
        web, other = monitors.machines
        process = bridge(start, broker, monitors.machines)
        assert client.next("qshim/lab/status").payload == b"online"
        client.wait(known("web%2F1 %2Bx", "vm1"))
        state = client.next("qshim/lab/vm1/state", attached=True).json
        assert (state["vm"], state["status"], state["running"], state["monitor"]) == (
            "vm1", "running", True, str(other.path),
        )  # fmt: skip
        monitors.do(web.fire(["STOP", "RESUME", "X/Y"]))
        event = client.next("qshim/lab/web%2F1 %2Bx/event/X%2FY").json
        assert (event["event"], event["sequence"], event["data"]) == ("X/Y", 3, {"n": 3})
        web.status = "paused"
        assert client.next("qshim/lab/web%2F1 %2Bx/state", status="paused").json["running"] is False
        web.blocks = [("d1", 1 << 20)]
        diff = client.seen("qshim/lab/web%2F1 %2Bx/layout/diff").json
        assert [(c["kind"], "d1" in c["what"]) for c in diff["changes"]] == [("block-added", True)]
        assert diff["sequence"] == 4, "events and diffs are numbered together"
        layout = client.seen("qshim/lab/web%2F1 %2Bx/layout", digest=diff["to"]).json
        assert layout["totals"]["used_bytes"] == 1 << 20
        assert process.end() == 0, process.said
        client.wait(lambda r: any(m.payload == b"offline" for m in r))
        assert process.said == ""
        check_schema(client.all)
        for machine in monitors.machines:
            assert set(machine.asked) <= QUESTIONS


def test_the_same_memory_of_a_machine_that_runs_is_no_change(
    broker: Mosquitto, start_one: Start, tmp_path: Path
) -> None:
    with Monitors(tmp_path, ["web"]) as monitors, Client(broker.port, "qshim/#") as client:
        (web,) = monitors.machines
        web.status = "prelaunch"
        bridge(start_one, broker, monitors.machines)
        before = client.seen("qshim/lab/web/layout", taken="reset").json
        web.status = "running"
        # the texts of the layout are read again where something in them changed
        web.texts = {"info qom-tree /objects": "/objects (container)\r\n  /x (rng-random)\r\n"}
        assert client.seen("qshim/lab/web/layout", taken="running").json["digest"] == before["digest"]
        web.blocks = [("d1", 4096)]
        diff = client.seen("qshim/lab/web/layout/diff").json
        assert (diff["sequence"], diff["from"]) == (1, before["digest"])
        assert [change["kind"] for change in diff["changes"]] == ["block-added"]


def test_a_layout_that_never_keeps_still(broker: Mosquitto, start_one: Start, tmp_path: Path) -> None:
    with Monitors(tmp_path, ["web"]) as monitors, Client(broker.port, "qshim/#") as client:
        (web,) = monitors.machines
        web.restless = True
        bridge(start_one, broker, monitors.machines)
        assert "changed during each of 5 readings" in client.seen("qshim/lab/web/layout").json["error"]
        web.restless = False
        known_once = client.seen("qshim/lab/web/layout", error=None).json
        web.restless = True
        before = web.asked["info ramblock"]
        while web.asked["info ramblock"] < before + 12:
            time.sleep(0.05)
        assert client.seen("qshim/lab/web/layout").json == known_once, "what is known stays"
        states = [m.json["attached"] for m in client.all if m.topic == "qshim/lab/web/state"]
        assert states == [True], "it is no reason to leave the machine, and with it its events"


def test_what_is_retained_is_there_for_whoever_comes_later(broker: Mosquitto, start: Start, tmp_path: Path) -> None:
    with Monitors(tmp_path, ["web"]) as monitors:
        with Client(broker.port, "qshim/#") as client:
            bridge(start, broker, monitors.machines)
            client.wait(known("web"))
            monitors.do(monitors.machines[0].fire(["STOP"]))
            client.next("qshim/lab/web/event/STOP")
        with Client(broker.port, "qshim/#") as client:
            client.wait(known("web"))
            topics = {m.topic for m in client.received if m.retain}
            assert topics == {
                "qshim/lab/status", "qshim/lab/web/state", "qshim/lab/web/layout", "qshim/lab/web/layout/full",
            }  # fmt: skip


def test_what_the_broker_sees_of_the_connection(broker: Mosquitto, start: Start, tmp_path: Path) -> None:
    with Monitors(tmp_path, ["web"]) as monitors, Client(broker.port, "qshim/#") as client:
        more = ("--mqtt-client-id", "probe", "--mqtt-keepalive", "7", "--allow-commands")
        bridge(start, broker, monitors.machines, *more)
        client.wait(known("web"))
        monitors.do(monitors.machines[0].fire(["STOP"]))
        client.seen("qshim/lab/web/event/STOP")
    log = (tmp_path / "mosquitto.log").read_text(encoding="utf-8")
    assert " as probe (p2, c1, k7" in log
    before = log.partition("Received PUBLISH from probe")[0]
    assert before.count("Received SUBSCRIBE from probe") == 2, "who sees a machine may ask it"
    published = re.findall(r"Received PUBLISH from probe \(d(\d), q(\d), r(\d), m\d+, '([^']*)'", log)
    assert ("0", "1", "0", "qshim/lab/web/event/STOP") in published
    assert ("0", "1", "1", "qshim/lab/web/state") in published
    assert {quality for _, quality, _, _ in published} == {"1"}, "everything is acknowledged"


def test_the_last_will_of_a_bridge_that_is_killed(broker: Mosquitto, start: Start, tmp_path: Path) -> None:
    with Monitors(tmp_path, ["web"]) as monitors, Client(broker.port, "qshim/lab/status") as client:
        process = bridge(start, broker, monitors.machines)
        assert client.next("qshim/lab/status").payload == b"online"
        process.end(signal.SIGKILL)
        assert client.next("qshim/lab/status").payload == b"offline"
        with Client(broker.port, "qshim/lab/status") as later:
            message = later.next("qshim/lab/status")
            assert (message.payload, message.retain) == (b"offline", True)


def test_a_broker_that_restarts_in_the_middle(tmp_path: Path, start: Start) -> None:
    # the broker keeps what comes for a subscriber that is away, so that no message can be missed by the test itself
    with (
        Mosquitto(tmp_path, "persistence true", f"persistence_location {tmp_path}/") as broker,
        Monitors(tmp_path, ["web"]) as monitors,
    ):
        (web,) = monitors.machines
        with Client(broker.port, "qshim/#", session="s") as client:
            process = bridge(start, broker, monitors.machines)
            client.wait(known("web"))
            monitors.do(web.fire(["A"] * 500))
            client.wait(counted("web", 200))
            monitors.do(web.fire(["B"] * 500))
        broker.stop(saved=True)
        monitors.do(web.fire(["C"] * 500))
        web.status = "paused"
        broker.start()
        with Client(broker.port, "qshim/#", session="s") as after:
            monitors.do(web.fire(["D"] * 500))
            both = client.all
            after.wait(lambda r: len(set(numbers([*both, *r], "web"))) == 2000)
            after.wait(lambda r: any(m.topic == "qshim/lab/web/state" and m.json["status"] == "paused" for m in r))
            assert first_seen(numbers([*both, *after.all], "web")) == list(range(1, 2001))
            sequences = [m.json["sequence"] for m in [*both, *after.all] if "/event/" in m.topic]
            assert first_seen(sequences) == list(range(1, 2001)), "who comes again is known by its number"
        assert process.said.count("trying again") == 1
        assert process.end() == 0


def test_retained_values_are_told_again_to_an_empty_broker(broker: Mosquitto, start: Start, tmp_path: Path) -> None:
    with Monitors(tmp_path, ["web"]) as monitors:
        with Client(broker.port, "qshim/#") as client:
            bridge(start, broker, monitors.machines)
            client.wait(known("web"))
        broker.stop()
        broker.start()
        with Client(broker.port, "qshim/#") as client:
            client.wait(known("web"))
            assert client.next("qshim/lab/web/state").json["status"] == "running"


def test_a_broker_that_stops_reading(broker: Mosquitto, start: Start, tmp_path: Path) -> None:
    with Monitors(tmp_path, ["web"]) as monitors, Client(broker.port, "qshim/#") as client:
        (web,) = monitors.machines
        process = bridge(start, broker, monitors.machines, "--queue", "100", "--mqtt-keepalive", "2")
        client.wait(known("web"))
        monitors.do(web.fire(["A"] * 50))
        client.wait(counted("web", 50))
        before = process.memory()
        broker.freeze()
        for _ in range(20):
            monitors.do(web.fire(["B"] * 1000))
        wait_for(lambda: "did not acknowledge" in process.said, process)
        assert process.memory() - before < 32 << 20, "what waits is bounded"
        broker.freeze(False)
        lost = client.next("qshim/lab/dropped").json["total"]
        monitors.do(web.fire(["END"]))
        client.next("qshim/lab/web/event/END")
        came = first_seen(numbers(client.all, "web"))
        assert came == sorted(came), "nothing is reordered"
        told = max(m.json["total"] for m in client.all if m.topic == "qshim/lab/dropped")
        assert told >= lost > 0
        # what the broker had in its buffers came, though nobody could know
        assert 20051 - len(came) <= told <= 20051 - 50 - 100
        check_schema(client.all)


def test_it_ends_though_the_broker_stands_still(broker: Mosquitto, start_one: Start, tmp_path: Path) -> None:
    with Monitors(tmp_path, ["web"]) as monitors, Client(broker.port, "qshim/#") as client:
        process = bridge(start_one, broker, monitors.machines)
        client.wait(known("web"))
        broker.freeze()
        monitors.do(monitors.machines[0].fire(["A"] * 100))
        assert process.end() == 0, process.said


def wait_for(true: Callable[[], bool], process: Qshim, seconds: float = 40) -> None:
    """Wait until *true*, or fail with what *process* said."""
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, process.said
        assert process.process.poll() is None, process.said
        time.sleep(0.02)


def test_a_machine_that_goes_and_comes_back(broker: Mosquitto, start: Start, tmp_path: Path) -> None:
    with Monitors(tmp_path, ["web", "db"]) as monitors, Client(broker.port, "qshim/#") as client:
        web, db = monitors.machines
        process = bridge(start, broker, monitors.machines)
        client.wait(known("web", "db"))
        monitors.do(web.fire(["A"]))
        monitors.do(web.stop())
        gone = client.next("qshim/lab/web/state", attached=False).json
        assert gone["status"] is None
        assert gone["reason"]
        monitors.do(db.fire(["B"]))
        client.next("qshim/lab/db/event/B")
        web.blocks = [("more", 4096)]
        monitors.do(web.start())
        assert client.next("qshim/lab/web/state", attached=True).json["status"] == "running"
        assert client.next("qshim/lab/web/layout/diff").json["changes"][0]["kind"] == "block-added"
        monitors.do(web.fire(["C"]))
        assert client.next("qshim/lab/web/event/C").json["sequence"] == 3
        assert process.end() == 0
        check_schema(client.all)


def test_machine_and_broker_gone_together(broker: Mosquitto, start: Start, tmp_path: Path) -> None:
    with Monitors(tmp_path, ["web"]) as monitors:
        (web,) = monitors.machines
        with Client(broker.port, "qshim/#") as client:
            process = bridge(start, broker, monitors.machines)
            client.wait(known("web"))
        broker.stop()
        monitors.do(web.stop())
        wait_for(lambda: process.said.count("trying again") >= 2, process)
        web.status = "paused"
        monitors.do(web.start())
        broker.start()
        with Client(broker.port, "qshim/#") as client:
            client.next("qshim/lab/web/state", status="paused")
        assert process.said.count("trying again") == 2, "said once for each, not at each attempt"


def test_neither_is_there_at_the_start(tmp_path: Path, start_one: Start) -> None:
    broker = Mosquitto(tmp_path)
    monitors = Monitors(tmp_path, ["web"])
    process = bridge(start_one, broker, monitors.machines)
    wait_for(lambda: process.said.count("trying again") == 2, process)
    with broker, Client(broker.port, "qshim/#") as client:
        # nobody knows its name yet
        assert "No such file" in client.next("qshim/lab/vm0/state").json["reason"]
        with monitors:
            client.next("qshim/lab/web/state", status="running")
            client.wait(lambda r: True)
            assert any(m.topic == "qshim/lab/vm0/state" and not m.payload for m in client.all), "the old name is gone"


def test_a_monitor_that_is_in_use(broker: Mosquitto, start_one: Start, tmp_path: Path) -> None:
    with Monitors(tmp_path, ["web"]) as monitors, Client(broker.port, "qshim/#") as client:
        with socket.socket(socket.AF_UNIX) as other:
            other.connect(str(monitors.machines[0].path))
            assert other.recv(10)
            bridge(start_one, broker, monitors.machines)
            state = client.next("qshim/lab/vm0/state").json
            assert "is another one connected?" in state["reason"]
        client.next("qshim/lab/web/state", status="running")


def test_a_monitor_that_talks_nonsense_costs_no_other_machine(
    broker: Mosquitto, start_one: Start, tmp_path: Path
) -> None:
    with Monitors(tmp_path, ["web", "odd", "\ud800\ufdd0\U0001ffff" + "x" * 300]) as monitors:
        odd = monitors.machines[1]
        odd.answers = {"query-version": {"qemu": "new"}}
        with Client(broker.port, "qshim/#") as client:
            process = bridge(start_one, broker, monitors.machines)
            client.wait(known("web"))
            assert "says what a QEMU does not" in client.seen("qshim/lab/vm1/state").json["reason"]
            odd.answers = {"query-memory-devices": [7]}
            client.seen("qshim/lab/odd/state", attached=False)
            odd.answers = {}
            client.wait(known("odd"))
            level = client.wait(lambda r: [m.topic for m in r if "%EF%B7%90%F0%9F%BF%BF" in m.topic])[0].split("/")[2]
            assert len(level) == 213
            assert process.end() == 0
            check_schema(client.all)


def test_two_machines_of_one_name(broker: Mosquitto, start_one: Start, tmp_path: Path) -> None:
    with Monitors(tmp_path, ["web", "web", "web"]) as monitors, Client(broker.port, "qshim/#") as client:
        for _ in range(2):
            process = bridge(start_one, broker, monitors.machines)
            client.wait(known("web", "web-2", "web-3"))
            for number, machine in enumerate(monitors.machines, 1):
                name = "web" if number == 1 else f"web-{number}"
                state = client.seen(f"qshim/lab/{name}/state").json
                assert state["monitor"] == str(machine.path), "the order of --attach decides"
            assert process.end() == 0
            client.received.clear()


def test_two_bridges_on_one_host(broker: Mosquitto, start: Start, tmp_path: Path) -> None:
    with Monitors(tmp_path, ["web", "db"]) as monitors, Client(broker.port, "qshim/#") as client:
        web, db = monitors.machines
        one, other = bridge(start, broker, [web]), bridge(start, broker, [db])
        client.wait(known("web", "db"))
        client.wait(lambda r: sum(m.payload == b"online" for m in r) >= 2)
        client.received.clear()
        assert one.end() == 0
        assert client.next("qshim/lab/status").payload == b"offline"
        assert client.next("qshim/lab/status").payload == b"online", "the other one is still there"
        assert other.end() == 0
        assert client.next("qshim/lab/status").payload == b"offline"


def test_fifty_machines_with_twenty_thousand_events(broker: Mosquitto, start: Start, tmp_path: Path) -> None:
    with Monitors(tmp_path, [f"vm-{number}" for number in range(50)]) as monitors:
        names = [str(machine.name) for machine in monitors.machines]
        with Client(broker.port, "qshim/#") as client:
            bridge(start, broker, monitors.machines, "--queue", "20000")
            client.wait(known(*names))
            monitors.do(*(machine.fire([f"E{n % 7}" for n in range(400)]) for machine in monitors.machines))
            client.wait(lambda r: sum("/event/" in m.topic for m in r) >= 20_000, 90)
            for name in names:
                assert numbers(client.all, name) == list(range(1, 401))
                sequence = [m.json["sequence"] for m in client.all if m.topic.startswith(f"qshim/lab/{name}/event/")]
                assert sequence == list(range(1, 401))
            assert not any(m.topic == "qshim/lab/dropped" for m in client.all)


def test_layouts_that_are_large(broker: Mosquitto, start_one: Start, tmp_path: Path) -> None:
    with Monitors(tmp_path, ["large", "huge"]) as monitors, Client(broker.port, "qshim/#") as client:
        large, huge = monitors.machines
        large.blocks = [(f"block{number}", 4096) for number in range(500)]
        huge.blocks = [(f"{number * 2654435761 % 2**32:x}" * 20, 4096) for number in range(3000)]
        bridge(start_one, broker, monitors.machines, "--max-payload", "20000")
        client.wait(known("large", "huge"))
        full = {m.topic.split("/")[2]: m.json for m in client.all if m.topic.endswith("/full")}
        assert full["large"]["encoding"] == "gzip+base64"
        assert (full["huge"]["encoding"], full["huge"]["text"]) == ("omitted", None)
        huge.blocks = huge.blocks[:1]
        diff = client.seen("qshim/lab/huge/layout/diff").json
        assert diff["omitted"] > 0
        assert len(diff["changes"]) + diff["omitted"] == 2999
        client.seen("qshim/lab/huge/layout/full", encoding="plain")
        assert max(len(m.payload) for m in client.all) <= 20000
        check_schema(client.all)


def test_home_assistant(broker: Mosquitto, start_one: Start, tmp_path: Path) -> None:
    with Monitors(tmp_path, [None]) as monitors, Client(broker.port, "#") as client:
        (machine,) = monitors.machines
        process = bridge(start_one, broker, monitors.machines, "--home-assistant")
        client.wait(known("vm0"))
        configured = [m for m in client.all if m.topic.startswith("homeassistant/")]
        assert len({m.topic for m in configured}) == 5
        ids = {m.json["unique_id"] for m in configured}
        assert len(ids) == 5
        for message in configured:
            document = message.json
            assert message.topic.split("/")[-1] == "config"
            assert document["availability_topic"] == "qshim/lab/status"
            assert document["state_topic"].startswith("qshim/lab/vm0/")
            assert document["device"]["name"] == "vm0 on lab"
        client.received.clear()
        client.publish("homeassistant/status", b"online")
        client.wait(lambda r: len({m.topic for m in r if m.topic.endswith("/config")}) == 5)
        machine.name = "web"
        monitors.do(machine.stop())
        monitors.do(machine.start())
        client.wait(known("web"))
        gone = {m.topic for m in client.all if m.topic.endswith("/config") and not m.payload}
        assert gone == {m.topic for m in configured}
        assert {m.topic for m in client.all if m.topic.startswith("qshim/lab/vm0/") and not m.payload} == {
            "qshim/lab/vm0/state", "qshim/lab/vm0/layout", "qshim/lab/vm0/layout/full",
        }  # fmt: skip
        assert process.end() == 0


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--attach", "/a", "--attach", "/a"), "the same address is given twice"),
        (("--attach", "h:x"), "is no address"),
        (("--attach", "/a", "--queue", "0"), "at least one event"),
        (("--attach", "/a", "--max-payload", "10"), "--max-payload is at least 4096"),
        (("--attach", "/a", "--home-assistant", "a/+"), "is no prefix"),
        (("--attach", "/a", "--poll", "0"), "from 0.05 to 86400"),
        (("--attach", "/a", "--poll", "x"), "from 0.05 to 86400"),
        (("--attach", "/a", "--mqtt-keepalive", "0"), "from 1 to 65535"),
        (("--attach", "/a", "--mqtt-key", "/k"), "no TLS"),
        (("--attach", "/a", "--mqtt-credentials", "/nowhere"), "cannot read /nowhere"),
        (("--attach", "/a", "--", "-M", "q35"), "qshim serve --mqtt"),
    ],
)
def test_wrong_options(start_one: Start, words: tuple[str, ...], reason: str) -> None:
    process = start_one("bridge", "--mqtt", "mqtt://127.0.0.1:1", *words)
    assert process.wait() == 2
    assert reason in process.said


def test_without_a_library(start_without: Start) -> None:
    process = start_without("bridge", "--mqtt", "mqtt://127.0.0.1:1", "--attach", "/a")
    assert process.wait() == 2
    assert "pip install 'qshim[mqtt]'" in process.said


def test_events_that_are_no_usual_ones(broker: Mosquitto, start_one: Start, tmp_path: Path) -> None:
    with Monitors(tmp_path, ["web"]) as monitors, Client(broker.port, "qshim/#") as client:
        (web,) = monitors.machines
        bridge(start_one, broker, monitors.machines, "--max-payload", "4096")
        client.wait(known("web"))
        monitors.do(web.say({"event": "BIG", "data": {"x": "y" * 10000}}, {"event": "BARE"}))
        assert client.next("qshim/lab/web/event/BIG").json["omitted"] > 10000
        assert client.next("qshim/lab/web/event/BARE").json["timestamp"] is None
        check_schema(client.all)
        assert json.loads(client.all[-1].payload)["kind"] in ("event", "state")
