"""A bridge at a real QEMU: what it publishes, and that it leaves no trace."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.mqtt.conftest import Start
from tests.mqtt.test_bridge import check_schema, known
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt_client import Client
from tests.support.oracle import needs
from tests.support.talk import Client as Peer


class Monitor:
    """A QMP monitor of a QEMU, without any library; it keeps the events that it was told."""

    def __init__(self, path: Path) -> None:
        self._peer = Peer(path)
        self.events: list[dict[str, Any]] = []
        self._line()
        self("qmp_capabilities")

    def _line(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self._peer.hears("\r\n"))
        return message

    def __call__(self, command: str, **arguments: Any) -> Any:
        self._peer.send(json.dumps({"execute": command, "arguments": arguments}))
        while "event" in (message := self._line()):
            self.events.append(message)
        assert "return" in message, message
        return message["return"]

    def hmp(self, line: str) -> str:
        return str(self("human-monitor-command", **{"command-line": line}))

    def until(self, *names: str) -> None:
        """Read until these events have come."""
        while not set(names) <= {event["event"] for event in self.events}:
            self.events.append(self._line())

    def close(self) -> None:
        self._peer.close()


@contextmanager
def running(binary: str, folder: Path, *options: str) -> Iterator[tuple[Path, Path]]:
    """A QEMU with two QMP monitors: one for the bridge, one for whoever manages it."""
    ours, theirs = folder / "bridge.sock", folder / "control.sock"
    process = subprocess.Popen(
        [binary, "-display", "none", "-nodefaults", *options,
         "-qmp", f"unix:{ours},server=on,wait=off", "-qmp", f"unix:{theirs},server=on,wait=off"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield ours, theirs
    finally:
        process.kill()
        process.wait()


def traces(control: Monitor) -> dict[str, object]:
    """What a visitor could leave behind."""
    return {
        **{command: control(command) for command in ("query-status", "query-chardev", "query-memdev", "query-pci")},
        **{line: control.hmp(line) for line in ("info qom-tree", "info mtree -f", "info ramblock", "info qtree")},
    }


@pytest.mark.parametrize("label", ["7.2", "11.1"])
@pytest.mark.parametrize("running_guest", [False, True], ids=["prelaunch", "running"])
def test_it_leaves_the_machine_as_it_was(
    label: str, running_guest: bool, broker: Mosquitto, start_one: Start, tmp_path: Path
) -> None:
    options = ("-M", "q35", "-m", "256M", "-name", "web", *(() if running_guest else ("-S",)))
    with (
        running(needs(label, "x86_64"), tmp_path, *options) as (ours, theirs),
        closing(Monitor(theirs)) as control,
        Client(broker.port, "qshim/#") as client,
    ):
        if running_guest:
            # the firmware moves memory until it has found out that there is nothing to boot
            settled = control.hmp("info mtree -f")
            while settled != (settled := wait_and(control)):
                pass
        before = traces(control)
        known_events = len(control.events)
        bridge = start_one(
            "bridge", "--mqtt", broker.url, "--host", "lab", "--attach", str(ours), "--poll", "0.1",
            "--allow-commands",
        )  # fmt: skip
        client.wait(known("web"))
        for number, line in enumerate(("mtree -f -d -o", "qtree", "registers", "roms", "irq", "")):
            request = json.dumps({"id": str(number), "info": line}).encode()
            client.publish("qshim/lab/web/command", request)
            reply = client.next("qshim/lab/web/command/reply", id=str(number)).json
            assert reply["return"], (line, reply["error"], reply["refused"])
        state = client.seen("qshim/lab/web/state").json
        assert state["status"] == ("running" if running_guest else "prelaunch")
        assert state["qemu"].startswith(label)
        layout = client.seen("qshim/lab/web/layout").json
        assert layout["taken"] == ("running" if running_guest else "reset")
        assert bridge.end() == 0, bridge.said
        assert bridge.said == ""
        after = traces(control)
        for what, value in before.items():
            assert after[what] == value, what
        assert control.events[known_events:] == [], "it made something happen"
        check_schema(client.all)


def wait_and(control: Monitor) -> str:
    time.sleep(1)
    return control.hmp("info mtree -f")


@pytest.mark.parametrize("label", ["7.2", "11.1"])
def test_events_and_a_dimm(label: str, broker: Mosquitto, start: Start, tmp_path: Path) -> None:
    options = ("-M", "q35", "-m", "256M,slots=2,maxmem=1G", "-name", "web", "-S")
    with (
        running(needs(label, "x86_64"), tmp_path, *options) as (ours, theirs),
        Client(broker.port, "qshim/#") as client,
    ):
        bridge = start("bridge", "--mqtt", broker.url, "--host", "lab", "--attach", str(ours), "--poll", "0.3")
        client.wait(known("web"))
        before = client.seen("qshim/lab/web/layout").json
        with closing(Monitor(theirs)) as control:
            control("object-add", **{"qom-type": "memory-backend-ram", "id": "m1", "size": 128 << 20})
            control("device_add", driver="pc-dimm", id="d1", memdev="m1")
            diff = client.seen("qshim/lab/web/layout/diff").json
            while not any(device["id"] == "d1" for device in diff["devices_added"]):
                # it was read between the two commands
                diff = client.next("qshim/lab/web/layout/diff", sequence=diff["sequence"] + 1).json
            (device,) = diff["devices_added"]
            assert (device["type"], device["size"], device["addr"]) == ("dimm", 128 << 20, 1 << 32)
            after = client.seen("qshim/lab/web/layout", digest=diff["to"]).json
            assert after["totals"]["used_bytes"] - before["totals"]["used_bytes"] == 128 << 20
            assert after["totals"]["device_bytes"] == 128 << 20
            assert control.events == [], "QEMU tells of no device that is plugged: polling found it"
            control("cont")
            client.seen("qshim/lab/web/state", status="running")
            control("stop")
            client.seen("qshim/lab/web/state", status="paused")
            control("system_reset")
            control.until("RESUME", "STOP", "RESET")
            for event in control.events:
                told = client.seen(f"qshim/lab/web/event/{event['event']}").json
                assert told["timestamp"] == event["timestamp"]
                assert told["data"] == event.get("data")
            names = [m.topic.rpartition("/")[2] for m in client.all if "/event/" in m.topic]
            assert names == [event["event"] for event in control.events]
            client.next("qshim/lab/web/state", status="paused")
            client.next("qshim/lab/web/state", status="prelaunch")
        # what is on the broker is what the machine says, by our own other ways to ask it
        told = f"mqtt://127.0.0.1:{broker.port}/qshim/lab/web"
        same = start("diff", told, f"attach:{theirs}")
        assert same.wait() == 0, (same.out, same.said)
        with closing(Monitor(theirs)) as control:
            control("quit")
        gone = client.seen("qshim/lab/web/state", attached=False).json
        assert gone["reason"]
        assert client.seen("qshim/lab/web/event/SHUTDOWN").json["data"]["reason"] == "host-qmp-quit"
        assert bridge.end() == 0
        check_schema(client.all)


def test_four_machines_of_two_versions(broker: Mosquitto, start_one: Start, tmp_path: Path) -> None:
    machines: Sequence[tuple[str, str, str]] = (
        ("7.2", "x86_64", "pc"), ("11.1", "x86_64", "microvm"), ("7.2", "aarch64", "virt"), ("11.1", "riscv64", "virt"),
    )  # fmt: skip
    with Client(broker.port, "qshim/#") as client:
        contexts = []
        addresses = []
        try:
            for number, (label, target, board) in enumerate(machines):
                folder = tmp_path / str(number)
                folder.mkdir()
                context = running(needs(label, target), folder, "-M", board, "-S", "-name", f"vm{number}")
                ours, theirs = context.__enter__()
                contexts.append(context)
                Monitor(theirs).close()
                addresses += ["--attach", str(ours)]
            process = start_one("bridge", "--mqtt", broker.url, "--host", "lab", *addresses)
            client.wait(known("vm0", "vm1", "vm2", "vm3"))
            for number, (label, target, board) in enumerate(machines):
                layout = client.seen(f"qshim/lab/vm{number}/layout").json
                assert (layout["target"], layout["qemu"], layout["error"]) == (target, label, None)
                assert board in layout["machine"]
            assert process.end() == 0, process.said
            check_schema(client.all)
        finally:
            for context in contexts:
                context.__exit__(None, None, None)
