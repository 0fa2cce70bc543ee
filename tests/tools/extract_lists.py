"""Ask real QEMUs for their trace events, the text of `info qdm` and signatures of CPU models; write them to qshim/data.

    python -m tests.tools.extract_lists

The QEMUs are those of tests.support.oracle, for all targets of the drop-ins, without modules of other builds.
"""

from __future__ import annotations

import json
import lzma
import subprocess
import sys
from pathlib import Path
from typing import Any

from qshim.cli.machines import TARGETS
from tests.support.oracle import LABELS, binaries
from tests.tools.extract_options import WITHOUT_MODULES

DATA = Path(__file__).parents[2] / "qshim" / "data"


def ask(binary: str) -> tuple[list[str], str]:
    """Names of trace events, in order, and the text of `info qdm`."""
    requests: list[dict[str, Any]] = [
        {"execute": "qmp_capabilities"},
        {"execute": "trace-event-get-state", "arguments": {"name": "*"}},
        {"execute": "human-monitor-command", "arguments": {"command-line": "info qdm"}},
        {"execute": "quit"},
    ]
    words = [*WITHOUT_MODULES, binary, "-M", "none", "-nodefaults", "-display", "none", "-S", "-qmp", "stdio"]
    text = "".join(json.dumps(request) + "\n" for request in requests)
    done = subprocess.run(words, input=text, capture_output=True, text=True, timeout=60, check=True)
    replies = [json.loads(line) for line in done.stdout.splitlines()]
    _, events, devices, *_ = [reply["return"] for reply in replies if "return" in reply]
    return [event["name"] for event in events], devices.replace("\r\n", "\n")


def signatures(label: str, binary: str) -> dict[str, int]:
    """What EDX holds after a reset, by CPU model."""
    register = "$rdx" if label == "11.1" else "$edx"
    listed = subprocess.run([binary, "-cpu", "help"], capture_output=True, text=True, timeout=60, check=True).stdout
    found = {}
    for words in (line.split() for line in listed.partition("\n\n")[0].splitlines()[1:]):
        model = words[1] if words[0] == "x86" else words[0]
        command = [binary, "-M", "pc", "-cpu", model, "-nodefaults", "-display", "none", "-S", "-monitor", "stdio"]
        done = subprocess.run(command, input=f"p/x {register}\nquit\n", capture_output=True, text=True, timeout=60)
        values = [line for line in done.stdout.splitlines() if line.startswith("0x")]
        if values:
            found[model] = int(values[0], 16)
    return found


def main() -> int:
    """Ask all, write the files."""
    events: dict[str, dict[str, list[str]]] = {}
    devices: dict[str, dict[str, str]] = {}
    for label in LABELS:
        for target in TARGETS:
            binary = binaries().get((label, target))
            if binary is None:
                print(f"QEMU {label} for {target} is not installed: nothing extracted", file=sys.stderr)
                return 3
            events.setdefault(label, {})[target], devices.setdefault(label, {})[target] = ask(binary)
            print(label, target, len(events[label][target]), len(devices[label][target]))
    told = {label: signatures(label, binaries()[label, "x86_64"]) for label in LABELS}
    models = {**told["7.2"], **told["10.0"], **told["11.1"]}
    other = {label: {n: v for n, v in told[label].items() if models[n] != v} for label in LABELS}
    table = {"models": dict(sorted(models.items())), **{label: rows for label, rows in other.items() if rows}}
    (DATA / "cpu-signatures.json").write_text(json.dumps(table, separators=(",", ":")) + "\n", "utf-8")
    for name, data in (("trace-events", events), ("device-list", devices)):
        packed = lzma.compress(json.dumps(data, separators=(",", ":")).encode(), preset=9)
        (DATA / f"{name}.json.xz").write_bytes(packed)
        print(name, len(packed))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
