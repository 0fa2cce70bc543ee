"""Measure a modelled x86 machine beside a real QEMU in the same run, and print a table with ratios.

    python -m tests.bench.x86 --qemu qemu-system-x86_64 [--qemu-version V] [--rounds N]

Both serve the same command line paused on a unix socket: the time to the greeting, DIMMs that are
plugged one after another, a PAM write between them, `info mtree` of a machine with many hot-plugged
network cards, and the memory that all this takes. Nothing here is a test: no number makes it fail.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from tests.bench.run import Served, bare_python, served

DIMMS = 255
BRIDGES, CARDS = 8, 27
PLAIN = ["-M", "q35", "-m", "4G"]
MEMORY = ["-M", "q35", "-nodefaults", "-m", "1G,slots=256,maxmem=128G"]
NETWORK = ["-M", "pc", "-nodefaults", "-m", "1G"] + [
    word for n in range(BRIDGES) for word in ("-device", f"pci-bridge,id=b{n},chassis_nr={n + 1}")
]
DROP_IN = "import sys; from qshim.cli.system import x86_64; sys.exit(x86_64())"


def ask(one: Served, command: str, **arguments: Any) -> bytes:
    """The reply to a QMP command, which must be no error."""
    given = {key.replace("_", "-"): value for key, value in arguments.items()}
    one.peer.sendall(json.dumps({"execute": command, "arguments": given}).encode())
    data = b""
    while not data.endswith(b"\r\n"):
        data += one.peer.recv(1 << 20)
    if b'"error"' in data[:12]:
        raise SystemExit(f"{command}: {data.decode()}")
    return data


def hmp(one: Served, line: str) -> bytes:
    """The reply to an HMP line."""
    return ask(one, "human-monitor-command", command_line=line)


def seconds(act: Callable[[], object]) -> float:
    """How long it takes."""
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def dimms(one: Served) -> dict[str, float]:
    """DIMMs one after another, and PAM writes with all of them there."""
    took = []
    for n in range(DIMMS):
        ask(one, "object-add", qom_type="memory-backend-ram", id=f"m{n}", size=64 << 20)
        took.append(seconds(partial(ask, one, "device_add", driver="pc-dimm", id=f"d{n}", memdev=f"m{n}")))
    hmp(one, "o /w 0xcf8 0x80000090")
    writes = [seconds(partial(hmp, one, f"o /b 0xcfc {value}")) for value in (0x30, 0x00) * 15]
    first, last = statistics.median(took[:5]), statistics.median(took[-5:])
    return {
        "1st DIMM's device_add, ms": first * 1e3,
        f"{DIMMS}th DIMM's device_add, ms": last * 1e3,
        "its growth from the 1st": last / first,
        f"PAM write with {DIMMS} DIMMs, ms": statistics.median(writes) * 1e3,
        f"info mtree with {DIMMS} DIMMs, ms": seconds(lambda: hmp(one, "info mtree")) * 1e3,
        f"resident with {DIMMS} DIMMs, MiB": one.resident(),
    }


def cards(one: Served) -> dict[str, float]:
    """Network cards behind bridges, and what it costs to show them."""
    took = [
        seconds(partial(
            ask, one, "device_add", driver="virtio-net-pci", id=f"n{b}_{n}", bus=f"b{b}", addr=f"{n + 1:x}", romfile=""
        ))
        for b in range(BRIDGES) for n in range(CARDS)
    ]  # fmt: skip
    total = BRIDGES * CARDS
    shown = [seconds(lambda: hmp(one, "info mtree")) for _ in range(20)]
    # a change in between: the text has to be made anew
    hmp(one, "o /w 0xcf8 0x80000058")
    fresh = []
    for value in (0x30, 0x00) * 4:
        hmp(one, f"o /b 0xcfd {value}")
        fresh.append(seconds(lambda: hmp(one, "info mtree")))
    return {
        f"{total}th card's device_add, ms": statistics.median(took[-5:]) * 1e3,
        f"info mtree with {total} cards, ms": statistics.median(shown) * 1e3,
        "the same after a PAM write, ms": statistics.median(fresh) * 1e3,
        f"resident with {total} cards, MiB": one.resident(),
    }


def measure(command: list[str], scratch: str) -> dict[str, float]:
    """One round: the numbers of one side."""
    path = os.path.join(scratch, "q")
    ends = ["-S", "-display", "none", "-qmp", f"unix:{path},server=on,wait=off"]
    numbers: dict[str, float] = {}
    with served([*command, *PLAIN, *ends], path) as one:
        numbers["start to greeting, q35 -m 4G, ms"] = one.greeting_seconds * 1e3
        numbers["start to first info mtree, ms"] = one.memory_seconds * 1e3
        numbers["resident, q35 -m 4G, MiB"] = one.resident()
    with served([*command, *MEMORY, *ends], path) as one:
        numbers |= dimms(one)
    with served([*command, *NETWORK, *ends], path) as one:
        numbers |= cards(one)
    return numbers


def main() -> None:
    """See the module's text."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--qemu", default="qemu-system-x86_64")
    parser.add_argument("--qemu-version", default="11.1")
    parser.add_argument("--rounds", type=int, default=2)
    args = parser.parse_args()
    rounds: tuple[list[dict[str, float]], list[dict[str, float]]] = ([], [])
    python = []
    with tempfile.TemporaryDirectory() as scratch:
        # an installed package has its byte code; a checkout may be told to keep none
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = os.path.join(scratch, "bytecode")
        os.environ["QSHIM_QEMU_VERSION"] = args.qemu_version
        # the first run makes the byte code
        measure([sys.executable, "-c", DROP_IN], scratch)
        for _ in range(args.rounds):
            python.append(bare_python())
            rounds[0].append(measure([sys.executable, "-c", DROP_IN], scratch))
            rounds[1].append(measure([args.qemu], scratch))
    print(f"{'':40} {'qshim':>10} {'QEMU':>10} {'ratio':>7}")
    for name in rounds[0][0]:
        a, b = (min(numbers[name] for numbers in side) for side in rounds)
        print(f"{name:40} {a:10.2f} {b:10.2f} {a / b:7.2f}")
    greeting = min(numbers["start to greeting, q35 -m 4G, ms"] for numbers in rounds[0])
    ratio = greeting / min(python)
    print(f"{'python3 -c import asyncio, ms':40} {min(python):10.2f} {'':10} {ratio:7.2f}  (start / this)")


if __name__ == "__main__":
    main()
