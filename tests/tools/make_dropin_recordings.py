"""Record what the drop-ins serve besides the machines of make_recordings.py: without default devices, and 32 bit.

    python -m tests.tools.make_dropin_recordings

The files are qshim/data/drop-in/VERSION/TARGET/MACHINE[.nodefaults].qrec.xz.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from qshim.argv.dialect import option_help
from qshim.edge.capture import capture_started
from qshim.errors import QshimError
from qshim.recording.format import load, save
from tests.support.oracle import LABELS, binaries

DATA = Path(__file__).parents[2] / "qshim" / "data" / "drop-in"
PLAIN = {
    "i386": ("none", "pc", "q35", "isapc", "microvm"),
    "riscv32": ("none", "virt", "spike", "sifive_e", "sifive_u", "opentitan"),
}
BARE = {
    "x86_64": ("pc", "q35"), "i386": ("pc", "q35"), "aarch64": ("virt",), "arm": ("virt",), "riscv64": ("virt",),
    "riscv32": ("virt",),
}  # fmt: skip


def resolved(label: str, target: str, machine: str) -> str:
    """The type behind an alias, from what -M help printed."""
    for line in option_help(label, target)["-M help"][1].splitlines():
        if line.split(None, 1)[0] == machine and "(alias of " in line:
            return line.partition("(alias of ")[2].partition(")")[0]
    return machine


async def main() -> None:
    for label in LABELS:
        for machines, bare in ((PLAIN, False), (BARE, True)):
            for target, names in machines.items():
                for machine in (resolved(label, target, name) for name in names):
                    words = ["-M", machine, *(["-nodefaults"] if bare else [])]
                    path = DATA / label / target / f"{machine}{'.nodefaults' if bare else ''}.qrec.xz"
                    try:
                        recording = (await capture_started(binaries()[label, target], words)).recording
                    except (QshimError, KeyError) as error:
                        print(f"{label} {target} {machine}: {error}")
                        continue
                    path.parent.mkdir(parents=True, exist_ok=True)
                    if not path.exists() or load(path) != recording:
                        save(recording, path)


if __name__ == "__main__":
    asyncio.run(main())
