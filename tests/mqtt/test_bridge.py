"""`qshim bridge` between fake machines and a real broker: what is published, and what becomes of it."""

from __future__ import annotations

from pathlib import Path

from tests.mqtt.conftest import Start
from tests.support.fake_monitors import Monitors
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt_client import Client


def test_state_layout_and_events(broker: Mosquitto, start: Start, tmp_path: Path) -> None:
    with Monitors(tmp_path, ["web/1 +x", None]) as monitors, Client(broker.port, "#") as client:
        web, other = monitors.machines
        bridge = start(
            "bridge", "--mqtt", broker.url, "--host", "lab", "--attach", str(web.path), "--attach", str(other.path)
        )
        client.next("qshim/lab/status")
        client.wait(
            lambda r: {"qshim/lab/web%2F1 %2Bx/layout/full", "qshim/lab/vm1/layout/full"} <= {m.topic for m in r}
        )
        monitors.do(web.fire(["STOP", "RESUME", "X/Y"]))
        client.next("qshim/lab/web%2F1 %2Bx/event/X%2FY")
        assert bridge.end() == 0, bridge.said
        client.wait(lambda r: any(m.payload == b"offline" for m in r))
        assert bridge.said == ""
