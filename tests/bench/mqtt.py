"""Measure the MQTT bridge: events a second, added latency, memory for many machines.

    python -m tests.bench.mqtt [--library asyncio-mqtt|aiomqtt] [--events N] [--machines N]

Fake machines fire events into a bridge, a real mosquitto and an MQTT client of a few lines; in the same run the same
events are fired at the same time into machines whose monitors are read straight, without bridge and broker. Every
machine has the memory layout of a q35. Nothing here is a test: no number makes it fail.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.mqtt.conftest import LIBRARIES, Qshim, python_of
from tests.support.fake_monitors import Machine, Monitors
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt_client import Client, Received

ROOT = Path(__file__).parents[2]
PACE = 100
"""Events a second while latencies are measured."""


class Direct:
    """A client of one monitor that notes when each event came."""

    def __init__(self, machine: Machine) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(machine.path))
        self._lines = self._socket.makefile("rb")
        self._lines.readline()
        self._socket.sendall(b'{"execute":"qmp_capabilities"}')
        self._lines.readline()
        self.at: list[float] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        for line in self._lines:
            if b'"event"' in line:
                json.loads(line)
                self.at.append(time.monotonic())

    def wait(self, count: int) -> None:
        while len(self.at) < count:
            time.sleep(0.001)


def texts() -> dict[str, str]:
    """What a q35 prints of its layout."""
    from qshim.cli.recordings import find
    from qshim.recording.format import RAMBLOCK_COMMAND, TREE_COMMAND
    from qshim.views.flatview import flat, flat_text
    from qshim.vm import Vm

    recording = find("7.2/x86_64/pc-q35-7.2")
    printed = {name: "\n".join((*recording.hmp[name], "")) for name in (TREE_COMMAND, RAMBLOCK_COMMAND)}
    printed["info mtree -f"] = flat_text(flat(Vm.from_recording(recording)))
    return {name: text.replace("\n", "\r\n") for name, text in printed.items()}


def end(process: Qshim) -> None:
    """End a bridge that had nothing to complain of."""
    process.end()
    if process.said:
        raise SystemExit(process.said)


def bridge(python: Path, broker: Mosquitto, machines: Sequence[Machine]) -> Qshim:
    attach = [word for machine in machines for word in ("--attach", str(machine.path))]
    words = ("bridge", "--mqtt", broker.url, "--host", "bench", "--queue", "1000000", *attach)
    return Qshim(python, words, {})


def ready(client: Client, machines: Sequence[Machine]) -> None:
    names = {f"qshim/bench/{machine.name}/layout/full" for machine in machines}
    client.wait(lambda r: names <= {m.topic for m in r}, 300)


def events_of(received: Sequence[Received]) -> list[Received]:
    return [message for message in received if "/event/" in message.topic]


def percentile(values: Sequence[float], share: float) -> float:
    """In milliseconds."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] * 1000


def throughput(monitors: Monitors, client: Client, pairs: Sequence[tuple[Machine, Direct]], each: int) -> None:
    bridged = monitors.machines[: len(pairs)]
    names = [f"E{number % 7}" for number in range(each)]
    total = each * len(pairs)

    client.received.clear()
    begun = time.monotonic()
    monitors.do(*(machine.fire(names) for machine in bridged))
    client.wait(lambda r: len(r) >= total and len(events_of(r)) >= total, 600)
    through = events_of(client.received)[-1].at - begun

    begun = time.monotonic()
    monitors.do(*(machine.fire(names) for machine, _ in pairs))
    for _, direct in pairs:
        direct.wait(each)
    straight = max(direct.at[-1] for _, direct in pairs) - begun
    print(
        f"{len(pairs):>4} machines, {total} events: bridge {total / through:>7.0f}/s, "
        f"straight {total / straight:>7.0f}/s, ratio {through / straight:.1f}"
    )


async def paced(machines: Sequence[Machine], count: int) -> None:
    for _ in range(count):
        await asyncio.gather(*(machine.fire(["TICK"]) for machine in machines))
        await asyncio.sleep(1 / PACE)


def latency(monitors: Monitors, client: Client, machine: Machine, direct: Direct, count: int) -> None:
    client.received.clear()
    direct.at.clear()
    monitors.do(paced((monitors.machines[0], machine), count))
    client.wait(lambda r: len(events_of(r)) >= count)
    direct.wait(count)
    came = [message.at for message in events_of(client.received)]
    added = [there - here for there, here in zip(came, direct.at, strict=True)]
    shares = ", ".join(f"p{int(share * 100)} {percentile(added, share):.2f} ms" for share in (0.5, 0.9, 0.99))
    most = max(added) * 1000
    print(f"latency added to that of the monitor, {count} events at {PACE}/s: {shares}, most {most:.2f} ms")


def memory(python: Path, count: int, broker: Mosquitto, folder: Path, layout: dict[str, str]) -> int:
    """Bytes of RAM that a bridge with *count* machines has once it knows all layouts."""
    folder.mkdir()
    with Monitors(folder, [f"m{count}-{number}" for number in range(count)]) as monitors:
        for machine in monitors.machines:
            machine.texts = layout
        with Client(broker.port, "qshim/#") as client:
            process = bridge(python, broker, monitors.machines)
            try:
                ready(client, monitors.machines)
                time.sleep(1)
                return process.memory()
            finally:
                end(process)


def main(words: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--library", choices=tuple(LIBRARIES), default="asyncio-mqtt", help="default: asyncio-mqtt")
    parser.add_argument("--events", type=int, default=20_000, help="default: 20000")
    parser.add_argument("--machines", type=int, default=200, help="for the memory (default: 200)")
    args = parser.parse_args(words)
    python = python_of(args.library)
    layout = texts()
    print(f"{args.library}, mosquitto and {args.events} events on this machine")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        broker = stack.enter_context(Mosquitto(folder))
        for count in (1, 50):
            below = folder / f"t{count}"
            below.mkdir()
            with Monitors(below, [f"t{count}-{number}" for number in range(2 * count)]) as monitors:
                for machine in monitors.machines:
                    machine.texts = layout
                pairs = [(machine, Direct(machine)) for machine in monitors.machines[count:]]
                with Client(broker.port, "qshim/#") as client:
                    process = bridge(python, broker, monitors.machines[:count])
                    ready(client, monitors.machines[:count])
                    throughput(monitors, client, pairs, args.events // count)
                    if count == 1:
                        latency(monitors, client, *pairs[0], 1000)
                    end(process)
        one = memory(python, 1, broker, folder / "one", layout)
        many = memory(python, args.machines, broker, folder / "many", layout)
        print(
            f"memory: {one / 2**20:.1f} MiB with one machine, {many / 2**20:.1f} MiB with {args.machines}, "
            f"{(many - one) / (args.machines - 1) / 1024:.1f} KiB for each more, ratio {many / one:.2f}"
        )


if __name__ == "__main__":
    main()
