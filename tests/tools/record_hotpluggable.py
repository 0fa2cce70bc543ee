"""Ask real QEMUs which device types cannot be hot-plugged; write qshim/data/not-hotpluggable.json.

    python -m tests.tools.record_hotpluggable

Each type of `-device help` is plugged into a pc that is complete, with a property that no type has: a type
that cannot be hot-plugged is refused for that before its properties are looked at.
"""

from __future__ import annotations

import json
from pathlib import Path

from qshim.machines.plugging import device_types
from tests.support.oracle import LABELS, binaries
from tests.sweep.compare import Real

DATA = Path(__file__).parents[2] / "qshim" / "data" / "not-hotpluggable.json"
REFUSED = ("Device '{}' does not support hotplugging", "Parameter 'driver' expects a pluggable device type")
"""The words of 10.0 and later, and those of 7.2."""


def types_of(label: str, binary: str) -> list[str]:
    """Types that QEMU *binary* refuses to plug for what they are."""
    real = Real(binary, ["-M", "pc", "-nodefaults"])
    try:
        assert real.greet()
        found = []
        for name in sorted(device_types(label, "x86_64").buses):
            reply = real.ask("device_add", driver=name, id="a", **{"no-such-property": "1"})
            assert reply is not None, f"QEMU {label} ended when {name} was plugged"
            if reply.get("error", {}).get("desc", "") in [text.format(name) for text in REFUSED]:
                found.append(name)
    finally:
        real.end()
    return found


def main() -> None:
    """Ask every version that is installed."""
    known = {label: types_of(label, binaries()[label, "x86_64"]) for label in LABELS}
    DATA.write_text(json.dumps(known, indent=1) + "\n")


if __name__ == "__main__":
    main()
