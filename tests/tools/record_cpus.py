"""Ask real QEMUs what a machine needs to know of their x86 CPU models.

    python -m tests.tools.record_cpus QEMU... -o qshim/data/cpus.json.xz

For each dialect and model: the QOM type, the vendor, and which of lm, pse36, apic and x2apic it has
under TCG. Aliases and models that TCG cannot make (`host`) are kept by name only.
"""

from __future__ import annotations

import argparse
import json
import lzma
import subprocess
from pathlib import Path
from typing import Any

_FACTS = ("lm", "pse36", "apic", "x2apic")


def models(binary: str) -> tuple[str, dict[str, object]]:
    """Dialect of *binary*, and what it says of its models."""
    words = [binary, "-M", "q35", "-S", "-nodefaults", "-display", "none", "-accel", "tcg", "-qmp", "stdio"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        version = json.loads(process.stdout.readline())["QMP"]["version"]["qemu"]

        def ask(command: str, **arguments: object) -> Any:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
            process.stdin.flush()
            while True:
                reply = json.loads(process.stdout.readline())
                if "event" not in reply:
                    return reply

        ask("qmp_capabilities")
        found: dict[str, object] = {}
        for row in sorted(ask("query-cpu-definitions")["return"], key=lambda row: str(row["name"])):
            entry: dict[str, object] = {"type": row["typename"]}
            told = ask("query-cpu-model-expansion", type="full", model={"name": row["name"]})
            if "return" in told:
                props = told["return"]["model"]["props"]
                entry["vendor"] = props.get("vendor")
                entry["has"] = [name for name in _FACTS if props.get(name)]
            else:
                entry["refused"] = told["error"]["desc"]
            found[row["name"]] = entry
        ask("quit")
    return f"{version['major']}.{version['minor']}", found


def main() -> None:
    """Ask each binary, write one file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("qemu", nargs="+")
    parser.add_argument("-o", required=True, type=Path)
    args = parser.parse_args()
    data = dict(models(binary) for binary in args.qemu)
    args.o.write_bytes(lzma.compress(json.dumps(data, sort_keys=True, separators=(",", ":")).encode()))


if __name__ == "__main__":
    main()
