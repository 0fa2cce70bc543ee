"""Every device type of the catalogue, alone and in random company, on our boards and on real QEMUs.

    python -m tests.sweep.devices [--target T] [--qemu-version V] [--seed N] [--count N] [--show N] [TYPE...]

Without TYPE: --count random command lines with one to five devices, behind bridges now and then, with
random values of properties. With types (or `all`): each of these on pc, q35 and microvm, or on virt of
other targets, with what it needs. Everything is compared that tests/sweep/compare.py compares, `info
qom-tree`, `info qtree` and `info pci` included.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections.abc import Iterator
from functools import cache

from qshim.devices.recorded import catalogue
from tests.support.oracle import LABELS, binaries
from tests.sweep.compare import MORE, run
from tests.tools.device_boards import BASES, plain_arguments

__all__ = ["alone", "company", "main", "plain_types", "valued"]

BOARDS = {"x86_64": ("pc", "q35", "microvm")}
SPECIAL = ("guest-loader", "loader", "vhost", "x-pci-proxy", "xen", "vfio", "hyperv", "nitro", "cxl", "pxb", "sp-mem")
"""Types whose command lines need more care than this sweep takes."""
VALUES = {
    "bool": ("on", "off"), "OnOffAuto": ("on", "off", "auto"), "addr": ("3", "4.0", "5", "1e", "06.0", "2.1"),
    "vectors": ("0", "1", "2", "4", "64", "200"), "vgamem_mb": ("1", "4", "8", "16", "32", "64"),
    "romfile": ("",), "rombar": ("0", "1"), "multifunction": ("on", "off"),
}  # fmt: skip
ASKED = (
    "addr", "multifunction", "vectors", "vgamem_mb", "romfile", "rombar", "disable-legacy", "disable-modern",
    "page-per-vq", "modern-pio-notify", "ats", "iommu_platform", "ioeventfd", "mq", "edid", "msix", "msi", "index",
    "shpc", "qemu-extended-regs", "event_idx", "packed", "aer", "bootindex", "acpi-index", "migrate_mac",
)  # fmt: skip


def alone(label: str, types: list[str], target: str, firmware: str) -> Iterator[list[str]]:
    """Each of *types* on each board of *target*, with the arguments it was recorded with."""
    known = catalogue(label, target)
    assert known is not None
    for name in known.names if types == ["all"] else types:
        entry = known.entry(name)
        if entry is None or any(word in name for word in SPECIAL):
            continue
        properties = entry.get("with", "")
        extra = [word.replace("{firmware}", firmware) for word in entry.get("extra", ())]
        for board in BOARDS.get(target, ("virt",)):
            yield [
                "-M", board, "-nodefaults", *plain_arguments(target), *(() if "-m" in extra else ("-m", "128M")),
                *extra, "-device", f"{name},id=dut" + (f",{properties}" if properties else ""),
            ]  # fmt: skip


def company(label: str, rng: random.Random, target: str) -> list[str]:
    """A random command line."""
    plain = plain_types(label, target)
    board = rng.choice(("pc", "q35")) if target == "x86_64" else "virt"
    words = ["-M", board, *plain_arguments(target), "-m", rng.choice(("128M", "1G", "4G"))]
    if rng.random() < 0.7:
        words.insert(2, "-nodefaults")
    if rng.random() < 0.3:
        words += ["-smp", str(rng.choice((2, 4, 7)))]
    buses = []
    for n in range(rng.randrange(3)):
        port = "pci-bridge,id=br{0},chassis_nr={1}" if board == "pc" else "pcie-root-port,id=br{0},chassis={1},slot={1}"
        words += ["-device", port.format(n, n + 1)]
        buses.append(f"br{n}")
    for n in range(rng.randrange(1, 6)):
        name = rng.choice(plain)
        text = name
        if rng.random() < 0.8:
            text += f",id=d{n}"
        text = valued(rng, label, target, name, text)
        if buses and _takes_address(label, target, name) and rng.random() < 0.3:
            text += f",bus={rng.choice(buses)}"
        words += ["-device", text]
    return words


@cache
def plain_types(label: str, target: str) -> tuple[str, ...]:
    """Types of functions that need nothing to be plugged in."""
    known = catalogue(label, target)
    assert known is not None
    return tuple(
        name
        for name in known.names
        if "f" in (entry := known.entry(name) or {}) and not entry.get("with") and entry.get("on") != "microvm"
        and not any(word in name for word in (*SPECIAL, "iommu", "floppy", "testdev"))
    )  # fmt: skip


def valued(rng: random.Random, label: str, target: str, name: str, text: str) -> str:
    """*text* of -device with random values of some properties of *name*."""
    types = {row["name"]: row["type"] for row in _properties(label, name, target)}
    for asked in rng.sample(ASKED, 6):
        if asked in types and rng.random() < 0.5:
            choices = VALUES.get(asked) or VALUES.get(types[asked]) or ("1",)
            text += f",{asked}={rng.choice(choices)}"
    return text


def _takes_address(label: str, target: str, name: str) -> bool:
    return any(row["name"] == "addr" for row in _properties(label, name, target))


def _properties(label: str, name: str, target: str) -> list[dict[str, str]]:
    from qshim.qom.types import target_types

    types = target_types(label, target)
    rows = None if types is None else types.device_properties(name)
    return rows if isinstance(rows, list) else []


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--qemu-version", choices=LABELS, action="append")
    parser.add_argument("--target", choices=("x86_64", *BASES), default="x86_64")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--show", type=int, default=10)
    parser.add_argument("types", nargs="*")
    arguments = parser.parse_args()
    status, target = 0, arguments.target
    with tempfile.NamedTemporaryFile() as firmware:
        firmware.write(bytes(1 << 16))
        firmware.flush()
        for label in arguments.qemu_version or LABELS:
            binary = binaries().get((label, target))
            if binary is None:
                print(f"{label}: no QEMU", file=sys.stderr)
                return 3
            rng = random.Random(f"devices {arguments.seed}")
            lines = alone(label, arguments.types, target, firmware.name) if arguments.types else (
                company(label, rng, target) for _ in range(arguments.count)
            )  # fmt: skip
            counts = run(label, binary, lines, MORE, arguments.show, target)
            status |= counts["same"] != counts["lines"]
    return status


if __name__ == "__main__":
    sys.exit(main())
