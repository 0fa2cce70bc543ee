"""Ask real QEMUs for the properties of /machine where nobody set them; write qshim/data/machine-properties.json.xz.

    python -m tests.tools.record_machine_properties

QEMU version -> target -> `common`, the values that most machine types have, and for each type that starts what it has
otherwise (null: no such property). Of a link only `""` is kept, and what it leads to as `[type, name]`. What -m, -smp,
-bios and the clock decide is left out.
"""

from __future__ import annotations

import json
import lzma
from collections import Counter
from pathlib import Path
from typing import Any

from qshim.cli import machines
from tests.support.oracle import LABELS, binaries
from tests.sweep.compare import Real
from tests.tools.support_matrix import types_of

DATA = Path(__file__).parents[2] / "qshim" / "data" / "machine-properties.json.xz"
DECIDED = frozenset(
    ("type", "memory", "memory-backend", "smp", "firmware", "rtc-time", "device-memory-region-size", "audiodev")
)


def properties_of(binary: str, machine: str) -> dict[str, Any] | None:
    """The values on *machine* without further options; None where it does not start."""
    real = Real(binary, ["-M", machine, "-nodefaults"])
    try:
        if not real.greet():
            return None
        found = {}
        for row in real.ask("qom-list", path="/machine")["return"]:
            name, kind = row["name"], row["type"]
            if name in DECIDED or kind.startswith("child<"):
                continue
            reply = real.ask("qom-get", path="/machine", property=name)
            if reply is None:
                return None
            if "return" not in reply:
                continue
            value = reply["return"]
            if kind.startswith("link<") and value:
                target = real.ask("qom-get", path=value, property="type")["return"]
                value = [target, value.rpartition("/")[2]]
            found[name] = value
        return found
    finally:
        real.end()


def packed(known: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The same with what most have said once."""
    names = sorted({name for values in known.values() for name in values})
    common = {}
    for name in names:
        counts = Counter(json.dumps(values[name]) for values in known.values() if name in values)
        common[name] = json.loads(counts.most_common(1)[0][0])
    types = {}
    for machine, values in known.items():
        types[machine] = {
            name: values.get(name) for name in names if name not in values or values[name] != common[name]
        }
    return {"common": common, "types": types}


def main() -> None:
    """Ask every version that is installed."""
    document: dict[str, dict[str, Any]] = {}
    for label in LABELS:
        document[label] = {}
        for target in machines.TARGETS:
            binary = binaries().get((label, target))
            if binary is None:
                print(f"QEMU {label} for {target} is not installed")
                continue
            known = {}
            for machine in types_of(label, target):
                values = properties_of(binary, machine)
                if values is not None:
                    known[machine] = values
            document[label][target] = packed(known)
            print(label, target, len(known), flush=True)
    text = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    DATA.write_bytes(lzma.compress(text, preset=9 | lzma.PRESET_EXTREME))
    print(f"{len(text)} bytes of JSON, {DATA.stat().st_size} packed")


if __name__ == "__main__":
    main()
