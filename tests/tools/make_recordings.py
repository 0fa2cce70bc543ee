"""Make the recordings of the project from the QEMUs that tests/qemu/install.sh installed.

    python tests/tools/make_recordings.py                     everything
    python tests/tools/make_recordings.py 11.1 riscv64        one version, one target
    python tests/tools/make_recordings.py --special 7.2       only the ones with devices

Every machine type that starts goes into qshim/data/recordings/VERSION/TARGET, with an index that names
the aliases and, for those that do not start, QEMU's reason; machines with devices, NUMA, DIMMs or after
their firmware go into fixtures/recordings/VERSION. An existing file is only replaced when it differs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP))

from qshim.edge.capture import capture_started  # noqa: E402
from qshim.edge.real_qemu import run  # noqa: E402
from qshim.errors import QshimError, RecordingError  # noqa: E402
from qshim.recording.format import load, save  # noqa: E402
from tests.support.oracle import LABELS, TARGETS, binaries  # noqa: E402

MACHINES = TOP / "qshim" / "data" / "recordings"
SPECIAL = TOP / "fixtures" / "recordings"
INDEX = "index.json"
AT_ONCE = 2

_HELP = re.compile(r"(\S+) +(.*)")
_ALIAS = re.compile(r"\(alias of (\S+)\)")


@dataclass(frozen=True, slots=True)
class Special:
    """One machine with more than its defaults, from machines.toml."""

    name: str
    target: str
    argv: str
    when: str = "reset"
    flash: int = 0
    """Bytes of the empty image whose path replaces `{flash}` in *argv*."""


def specials(target: str) -> list[Special]:
    """The special machines of one target."""
    with (Path(__file__).parent / "machines.toml").open("rb") as stream:
        table = tomllib.load(stream)
    return [special for name, entry in table.items() if (special := Special(name, **entry)).target == target]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("label", nargs="?", choices=LABELS)
    parser.add_argument("target", nargs="?", choices=TARGETS)
    parser.add_argument("--special", action="store_true", help="only the machines with more than defaults")
    args = parser.parse_args()
    os.nice(10)
    missing = 0
    for label in LABELS:
        for target in TARGETS:
            if args.label in (None, label) and args.target in (None, target):
                binary = binaries().get((label, target))
                if binary is None:
                    print(f"QEMU {label} for {target} is not installed: nothing made", file=sys.stderr)
                    missing += 1
                    continue
                run(make(label, target, binary, only_special=args.special))
    return 3 if missing else 0


async def make(label: str, target: str, binary: str, *, only_special: bool) -> None:
    """Record everything of one emulator."""
    with tempfile.TemporaryDirectory() as scratch:
        wanted = specials(target)
        refused = await record(
            (SPECIAL / label / f"{s.name}.qrec.xz", binary, _argv(s, Path(scratch)), s.when) for s in wanted
        )
    report(f"{label} {target} special", len(wanted), refused)
    _index(SPECIAL / label, target, {"not started": {p.name.removesuffix(".qrec.xz"): w for p, w in refused.items()}})
    if only_special:
        return
    machines, aliases = listed(binary)
    folder = MACHINES / label / target
    refused = await record((folder / f"{m}.qrec.xz", binary, ["-M", m], "reset") for m in machines)
    report(f"{label} {target}", len(machines), refused)
    _index(
        MACHINES / label,
        target,
        {"aliases": aliases, "not started": {path.name.removesuffix(".qrec.xz"): why for path, why in refused.items()}},
    )


async def record(wanted: Iterable[tuple[Path, str, list[str], str]]) -> dict[Path, str]:
    """Record each (file, emulator, options, when), a few at a time; returns why some could not be."""
    free = asyncio.Semaphore(AT_ONCE)
    refused: dict[Path, str] = {}

    async def one(path: Path, binary: str, argv: list[str], when: str) -> None:
        async with free:
            try:
                capture = await capture_started(binary, argv, when=when, say=lambda text: print(text, file=sys.stderr))
            except QshimError as error:
                refused[path] = _plain(str(error))
                await asyncio.to_thread(path.unlink, missing_ok=True)
                return
            await asyncio.to_thread(_keep, capture.recording, path)

    await asyncio.gather(*(one(*entry) for entry in wanted))
    return refused


def _keep(recording: object, path: Path) -> None:
    try:
        if load(path) == recording:
            return
    except RecordingError:
        path.parent.mkdir(parents=True, exist_ok=True)
    save(recording, path)  # type: ignore[arg-type]


def listed(binary: str) -> tuple[list[str], dict[str, str]]:
    """The machine types of an emulator, each once, and its aliases."""
    told = subprocess.run([binary, "-M", "help"], capture_output=True, text=True, check=True).stdout
    machines, aliases = [], {}
    for line in told.splitlines()[1:]:
        match = _HELP.match(line)
        if match is not None:
            alias = _ALIAS.search(match[2])
            if alias is None:
                machines.append(match[1])
            else:
                aliases[match[1]] = alias[1]
    return machines, aliases


def report(what: str, count: int, refused: dict[Path, str]) -> None:
    print(f"{what}: {count - len(refused)} of {count} recorded")
    for path, why in sorted(refused.items()):
        print(f"  {path.name.removesuffix('.qrec.xz')}: {why}")


def _argv(special: Special, scratch: Path) -> list[str]:
    image = scratch / f"{special.name}.img"
    if special.flash:
        with image.open("wb") as stream:
            stream.truncate(special.flash)
    return [word.replace("{flash}", str(image)) for word in special.argv.split()]


def _plain(reason: str) -> str:
    # the reason without the emulator's name, which is the label of the index already
    return reason.partition("did not start: ")[2] or reason


def _index(folder: Path, target: str, entry: dict[str, object]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / INDEX
    index = json.loads(path.read_text()) if path.exists() else {}
    index[target] = entry
    path.write_text(json.dumps(index, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    sys.exit(main())
