"""The recording that `--recording` names: a file, or a recording that comes with qshim by a short name."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from qshim import versions
from qshim.errors import RecordingError, UsageError

if TYPE_CHECKING:
    from qshim.recording.format import Recording
    from qshim.vm import Vm

__all__ = ["add_arguments", "find", "machine"]

_DATA = Path(__file__).parents[1] / "data" / "recordings"
_SUFFIX = ".qrec.xz"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`--recording` and `--qemu-version`."""
    parser.add_argument(
        "--recording",
        metavar="FILE",
        help="a recording, or the name of one that comes with qshim: [[VERSION/]TARGET/]MACHINE",
    )
    parser.add_argument(
        "--qemu-version",
        metavar="V",
        help=f"speak this QEMU's dialect: {', '.join(versions.KNOWN)} (default: the recording's)",
    )


def machine(args: argparse.Namespace, *, later: bool = False) -> Vm:
    """The machine that the options name; what was assumed is said on stderr. *later*: see `Vm.from_recording`.

    :raises UsageError: no recording, or an unknown version.
    :raises RecordingError: the recording cannot be had or contradicts itself.
    """
    from qshim.vm import Vm

    dialect: str | None = args.qemu_version
    if dialect is not None and dialect not in versions.KNOWN:
        raise UsageError(f"QEMU {dialect} is not a version that qshim speaks; it speaks {', '.join(versions.KNOWN)}")
    if args.recording is None:
        raise UsageError("no machine; name one with --recording FILE")
    recording = find(args.recording, dialect)
    _, exact = versions.quirks_for(recording.qemu.major, recording.qemu.minor)
    vm = Vm.from_recording(recording, dialect, later=later)
    own = f"{recording.qemu.major}.{recording.qemu.minor}"
    if dialect is not None and dialect != own:
        print(f"qshim: a machine of QEMU {own}, shown as QEMU {dialect} shows it", file=sys.stderr)
    elif not exact:
        print(f"qshim: warning: QEMU {own} is served in the dialect of {vm.quirks.label}", file=sys.stderr)
    return vm


def find(name: str, version: str | None = None) -> Recording:
    """The recording in the file *name*, or the shipped one that *name* means, of *version* where there is one.

    A shipped recording is called [[VERSION/]TARGET/]MACHINE, with aliases as in QEMU (`q35`). Without a
    version the newest QEMU that has it is meant, without a target x86_64, or the only one that has it.

    :raises RecordingError: neither exists, or several targets have it.
    """
    from qshim.recording.format import load

    return load(name if Path(name).exists() else _shipped(name, version))


def _shipped(name: str, version: str | None) -> Path:
    *where, machine = name.split("/")[-3:]
    newest = list(reversed(versions.KNOWN))
    newest.sort(key=lambda label: label != version)
    labels = newest if len(where) < 2 else [label for label in newest if label == where[0]]
    for label in labels:
        found: dict[str, Path] = {}
        for target, entry in _index(label).items():
            path = _DATA / label / target / f"{entry['aliases'].get(machine, machine)}{_SUFFIX}"
            if (not where or target == where[-1]) and path.exists():
                found[target] = path
        if "x86_64" in found:
            return found["x86_64"]
        if len(found) > 1:
            names = ", ".join(f"{target}/{machine}" for target in found)
            raise RecordingError(f"several recordings of QEMU {label} are called {machine}: {names}")
        if found:
            return next(iter(found.values()))
    for label in labels:
        for target, entry in _index(label).items():
            reason = entry["not started"].get(machine)
            if reason is not None and (not where or target == where[-1]):
                raise RecordingError(
                    f"QEMU {label} does not start {target}/{machine} by itself, so there is none: {reason}"
                )
    raise RecordingError(f"there is no file {name}, and no recording of that name comes with qshim; {_nearby(machine)}")


def _index(label: str) -> dict[str, dict[str, dict[str, str]]]:
    """For each target the aliases of machine types, and why some have no recording."""
    try:
        index: dict[str, dict[str, dict[str, str]]] = json.loads((_DATA / label / "index.json").read_text())
    except FileNotFoundError:
        return {}
    return index


def _nearby(machine: str) -> str:
    from difflib import get_close_matches

    every: dict[str, str] = {}
    for label in versions.KNOWN:
        for target, entry in _index(label).items():
            names = [path.name[: -len(_SUFFIX)] for path in (_DATA / label / target).glob(f"*{_SUFFIX}")]
            every |= {name: f"{label}/{target}/{name}" for name in (*names, *entry["aliases"])}
    close = [every[name] for name in get_close_matches(machine, every, 5, 0.5)]
    return (
        f"near it: {', '.join(close)}"
        if close
        else f"there are {len(every)} machines, such as q35, pc and aarch64/virt"
    )
