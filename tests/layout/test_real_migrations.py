"""Predictions beside real migrations: every outcome, and every line that the destination prints.

Each pair is tried with one of the installed QEMUs, QSHIM_ALL_MIGRATIONS=1 tries it with all of them, and a few
cross from each version to each other.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest

from qshim.cli.crosscheck import machine_from_argv
from qshim.crosscheck.snapshots import of_options, take_snapshot
from qshim.edge.real_qemu import run
from qshim.layout.migration import Migration, predict
from qshim.layout.snapshot import Snapshot
from qshim.layout.stream import MigrationStream, read_stream
from tests.support.migrations import Outcome, receive, save
from tests.support.oracle import LABELS, needs

_DIMM = "-M pc-q35-7.2 -m 128M,slots=2,maxmem=1G -object memory-backend-"
_NODES = (
    "-M pc-q35-7.2 -m 128M -object memory-backend-ram,id=n0,size={}M -object memory-backend-ram,id=n1,size={}M "
    "-numa node,memdev=n0 -numa node,memdev=n1"
)
_BRIDGES = "".join(f" -device pci-bridge,chassis_nr={n},addr={n:x}" for n in range(3, 23))

PAIRS: dict[str, tuple[str, str] | tuple[str, str, str]] = {
    "same": (
        "-M pc-i440fx-7.2",
        "-M pc-i440fx-7.2",
    ),
    "rom-grows": (
        "-M pc-i440fx-7.2 -device virtio-net-pci,romsize=524288",
        "-M pc-i440fx-7.2 -device virtio-net-pci,romsize=1048576",
    ),
    "rom-shrinks": (
        "-M pc-i440fx-7.2 -device virtio-net-pci,romsize=1048576",
        "-M pc-i440fx-7.2 -device virtio-net-pci,romsize=524288",
    ),
    "rom-given": (
        "-M pc-i440fx-7.2 -device virtio-net-pci,romsize=524288",
        "-M pc-i440fx-7.2 -device virtio-net-pci,romsize=524288",
    ),
    "rom-removed": (
        "-M pc-i440fx-7.2 -device virtio-net-pci",
        "-M pc-i440fx-7.2 -device virtio-net-pci,romfile=",
    ),
    "device-removed": (
        "-M pc-i440fx-7.2 -device virtio-net-pci",
        "-M pc-i440fx-7.2",
    ),
    "device-added": (
        "-M pc-i440fx-7.2",
        "-M pc-i440fx-7.2 -device virtio-net-pci",
    ),
    "device-elsewhere": (
        "-M pc-i440fx-7.2 -device virtio-net-pci,addr=5",
        "-M pc-i440fx-7.2 -device virtio-net-pci,addr=6",
    ),
    "less-ram": (
        "-M pc-i440fx-7.2 -m 256M",
        "-M pc-i440fx-7.2 -m 128M",
    ),
    "more-ram": (
        "-M pc-i440fx-7.2 -m 128M",
        "-M pc-i440fx-7.2 -m 256M",
    ),
    "other-board": (
        "-M pc-q35-7.2",
        "-M pc-i440fx-7.2",
    ),
    "older-machine-type": (
        "-M pc-i440fx-7.2",
        "-M pc-i440fx-7.1",
    ),
    "memfd-to-default": (
        "-M pc-q35-7.2,memory-backend=m -m 128M -object memory-backend-memfd,id=m,size=128M",
        "-M pc-q35-7.2 -m 128M",
    ),
    "memfd-to-ram": (
        "-M pc-q35-7.2,memory-backend=m -m 128M -object memory-backend-memfd,id=m,size=128M",
        "-M pc-q35-7.2,memory-backend=m -m 128M -object memory-backend-ram,id=m,size=128M",
    ),
    "backend-renamed": (
        "-M pc-q35-7.2,memory-backend=m -m 128M -object memory-backend-ram,id=m,size=128M",
        "-M pc-q35-7.2,memory-backend=n -m 128M -object memory-backend-ram,id=n,size=128M",
    ),
    "backend-path-to-id": (
        "-M pc-q35-7.2,memory-backend=m -m 128M -object "
        "memory-backend-ram,id=m,size=128M,x-use-canonical-path-for-ramblock-id=on",
        "-M pc-q35-7.2,memory-backend=m -m 128M -object memory-backend-ram,id=m,size=128M",
    ),
    "dimm-missing": (
        "-M pc-q35-7.2 -m 128M,slots=2,maxmem=1G -object memory-backend-ram,id=d,size=128M -device pc-dimm,memdev=d",
        "-M pc-q35-7.2 -m 128M,slots=2,maxmem=1G",
    ),
    "dimm-size": (
        "-M pc-q35-7.2 -m 128M,slots=2,maxmem=1G -object memory-backend-ram,id=d,size=128M -device pc-dimm,memdev=d",
        "-M pc-q35-7.2 -m 128M,slots=2,maxmem=1G -object memory-backend-ram,id=d,size=256M -device pc-dimm,memdev=d",
    ),
    "dimm-same": (
        "-M pc-q35-7.2 -m 128M,slots=2,maxmem=1G -object memory-backend-ram,id=d,size=128M -device pc-dimm,memdev=d",
        "-M pc-q35-7.2 -m 128M,slots=2,maxmem=1G -object memory-backend-ram,id=d,size=128M -device pc-dimm,memdev=d",
    ),
    "many-cpus": (
        "-M pc-q35-7.2 -m 128M -smp 1,maxcpus=200",
        "-M pc-q35-7.2 -m 128M -smp 1,maxcpus=200",
    ),
    "vga-ram": (
        "-M pc-q35-7.2 -m 128M -device VGA",
        "-M pc-q35-7.2 -m 128M -device VGA,vgamem_mb=32",
    ),
    "unused-backend": (
        "-M pc-q35-7.2 -m 128M -object memory-backend-ram,id=x,size=16M",
        "-M pc-q35-7.2 -m 128M",
    ),
    "options-reordered": (
        "-M pc-q35-7.2 -m 128M -device e1000,id=a,addr=3 -device virtio-net-pci,id=b,addr=4",
        "-M pc-q35-7.2 -m 128M -device virtio-net-pci,id=b,addr=4 -device e1000,id=a,addr=3",
    ),
    "numa-to-plain": (
        _NODES.format(64, 64),
        "-M pc-q35-7.2 -m 128M",
    ),
    "numa-sizes": (
        _NODES.format(64, 64),
        _NODES.format(32, 96),
    ),
    "ignore-shared-same": (
        "-M pc-q35-7.2,memory-backend=m -m 128M -object memory-backend-memfd,id=m,size=128M",
        "-M pc-q35-7.2,memory-backend=m -m 128M -object memory-backend-memfd,id=m,size=128M",
        "x-ignore-shared",
    ),
    "microvm-same": (
        "-M microvm -m 64M",
        "-M microvm -m 64M",
    ),
    "microvm-ram": (
        "-M microvm -m 64M",
        "-M microvm -m 96M",
    ),
    "acpi-tables-shrink": ("-M pc-i440fx-7.2", f"-M pc-i440fx-7.2{_BRIDGES}"),
    "acpi-tables-same": (f"-M pc-i440fx-7.2{_BRIDGES}", f"-M pc-i440fx-7.2{_BRIDGES}"),
    "ignore-shared-file-elsewhere": (
        f"{_DIMM}file,id=d,size=128M,share=on,mem-path=MEMORY -device pc-dimm,memdev=d,addr=0x100000000",
        f"{_DIMM}file,id=d,size=128M,share=on,mem-path=MEMORY -device pc-dimm,memdev=d,addr=0x110000000",
        "x-ignore-shared",
    ),
    "ignore-shared-memfd-elsewhere": (
        f"{_DIMM}memfd,id=d,size=128M -device pc-dimm,memdev=d,addr=0x100000000",
        f"{_DIMM}memfd,id=d,size=128M -device pc-dimm,memdev=d,addr=0x110000000",
        "x-ignore-shared",
    ),
}
"""Name -> source, destination and capabilities; beyond RAM blocks their devices agree."""

UNKNOWN = {"vga-ram"}
"""A monitor does not tell whether video memory can be resized."""

CROSSING = ("same", "rom-shrinks", "device-removed", "less-ram", "dimm-same")
ALL = bool(os.environ.get("QSHIM_ALL_MIGRATIONS"))
CASES = [
    *((name, label, label) for n, name in enumerate(PAIRS) for m, label in enumerate(LABELS) if ALL or n % 3 == m),
    *((name, a, b) for n, name in enumerate(CROSSING) for m, (a, b) in enumerate(
        (a, b) for a in LABELS for b in LABELS if a != b) if ALL or m % len(CROSSING) == n),
]  # fmt: skip


class Real:
    """One real migration, and what was predicted for it from both machines and from the stream."""

    def __init__(self, folder: Path, name: str, sender: str, receiver: str) -> None:
        source, destination, *more = PAIRS[name]
        source, destination = (w.replace("MEMORY", str(folder / "ram")) for w in (source, destination))
        self.capabilities, self.argv = more, (source, destination)
        binaries = needs(sender, "x86_64"), needs(receiver, "x86_64")
        self.file = folder / "stream"
        save(binaries[0], source, self.file, folder, capabilities=more)
        self.outcome: Outcome = receive(binaries[1], destination, self.file, folder, capabilities=more)
        self.sender = run(take_snapshot(f"qemu:{binaries[0]}:{source} -nodefaults"))
        self.receiver: Snapshot = run(take_snapshot(f"qemu:{binaries[1]}:{destination} -nodefaults"))

    def modelled(self, sender: str, receiver: str) -> tuple[Snapshot, Snapshot]:
        one, other = (
            of_options([*shlex.split(argv), "-nodefaults"], machine_from_argv, label, "x86_64")
            for argv, label in zip(self.argv, (sender, receiver), strict=True)
        )
        return one, other

    def predicted(self, source: Snapshot | MigrationStream) -> Migration:
        return predict(source, self.receiver, ignore_shared="x-ignore-shared" in self.capabilities)


@pytest.mark.parametrize(("name", "sender", "receiver"), CASES, ids=["-".join(case) for case in CASES])
def test_prediction_is_what_happens(name: str, sender: str, receiver: str, tmp_path: Path) -> None:
    real = Real(tmp_path, name, sender, receiver)
    data = real.file.read_bytes()
    stream = read_stream(lambda at, length: data[at : at + length])
    for predicted in (real.predicted(real.sender), real.predicted(stream)):
        if name in UNKNOWN:
            assert predicted.verdict == "unknown"
            continue
        assert predicted.verdict == ("accepted" if real.outcome.accepted else "refused")
        assert predicted.errors == real.outcome.said
    # our own machines know of every block whether it can be resized
    modelled = predict(*real.modelled(sender, receiver), ignore_shared="x-ignore-shared" in real.capabilities)
    assert modelled.verdict == ("accepted" if real.outcome.accepted else "refused")
    assert modelled.errors == real.outcome.said


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("length", [0x40000, 0x200000, 0x400000])
def test_a_resizeable_block_takes_what_fits(label: str, length: int, tmp_path: Path) -> None:
    """The tables' length in a real stream is changed; the real destination decides."""
    binary = needs(label, "x86_64")
    file = tmp_path / "stream"
    save(binary, "-M pc-i440fx-7.2", file, tmp_path)
    data = file.read_bytes()
    tables = b"/rom@etc/acpi/tables"
    at = data.index(tables) + len(tables)
    old = int.from_bytes(data[at : at + 8], "big")
    total = data.index(b"\x03ram") + 12
    sum_of_all = int.from_bytes(data[total : total + 8], "big") + length - old
    changed = bytearray(data)
    changed[at : at + 8] = length.to_bytes(8, "big")
    changed[total : total + 8] = sum_of_all.to_bytes(8, "big")
    file.write_bytes(changed)
    outcome = receive(binary, "-M pc-i440fx-7.2", file, tmp_path)
    receiver = run(take_snapshot(f"qemu:{binary}:-M pc-i440fx-7.2 -nodefaults"))
    predicted = predict(read_stream(lambda at, size: bytes(changed[at : at + size])), receiver)
    assert predicted.verdict == ("accepted" if outcome.accepted else "refused")
    assert predicted.errors == outcome.said
    assert outcome.accepted == (length <= 0x200000)


@pytest.mark.parametrize("label", ["10.0", "11.1"])
def test_a_file_with_pages_at_fixed_places_is_read(label: str, tmp_path: Path) -> None:
    binary = needs(label, "x86_64")
    file = tmp_path / "stream"
    save(binary, "-M q35 -m 64M", file, tmp_path, capabilities=["mapped-ram"], by_file=True)
    with file.open("rb") as opened:

        def read(at: int, length: int) -> bytes:
            opened.seek(at)
            return opened.read(length)

        stream = read_stream(read)
    machine = run(take_snapshot(f"qemu:{binary}:-M q35 -m 64M -nodefaults"))
    assert stream.capabilities == {"mapped-ram"}
    assert [(b.name, b.used_length) for b in stream.blocks] == [
        (b.name, b.used_length) for b in machine.layout.blocks if b.name
    ]
    assert receive(binary, "-M q35 -m 64M", file, tmp_path, capabilities=["mapped-ram"], by_file=True).accepted
