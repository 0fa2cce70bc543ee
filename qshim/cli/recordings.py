"""The recording that `--recording` names: a file, or a recording that comes with qshim by a short name."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from qshim import versions
from qshim.errors import RecordingError, UsageError

if TYPE_CHECKING:
    from qshim.recording.format import Recording
    from qshim.vm import Vm

__all__ = ["add_arguments", "find", "machine", "shipped"]

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


def shipped() -> list[str]:
    """The recordings that come with qshim, as VERSION/TARGET/MACHINE, newest version first."""
    names = [str(path.relative_to(_DATA))[: -len(_SUFFIX)] for path in _DATA.glob(f"*/*/*{_SUFFIX}")]
    newest = list(reversed(versions.KNOWN))
    return sorted(names, key=lambda name: (newest.index(v) if (v := name.split("/")[0]) in newest else 99, name))


def find(name: str, version: str | None = None) -> Recording:
    """The recording in the file *name*, or the shipped one that *name* means, of *version* where there is one.

    :raises RecordingError: neither exists, or several targets have it.
    """
    from qshim.recording.format import load

    if Path(name).exists():
        return load(name)
    every = shipped()
    found = [known for known in every if known == name or known.endswith("/" + name)]
    if version is not None:
        found = [known for known in found if known.startswith(version + "/")] or found
    # the list is sorted by version, so the first one's version is the newest that has it
    found = [known for known in found if known.split("/")[0] == found[0].split("/")[0]]
    preferred = [known for known in found if known.split("/")[1] == "x86_64"] or found
    if len(preferred) == 1:
        return load(_DATA / f"{preferred[0]}{_SUFFIX}")
    if found:
        raise RecordingError(f"several recordings are called {name}: {', '.join(found)}")
    raise RecordingError(
        f"there is no file {name}, and no recording of that name comes with qshim; {_nearby(name, every)}"
    )


def _nearby(name: str, every: list[str]) -> str:
    if not every:
        return "none does"
    from difflib import get_close_matches

    last = {known.split("/")[2]: known for known in reversed(every)}
    close = [last[machine] for machine in get_close_matches(name.split("/")[-1], last, 5, 0.5)]
    return f"near it: {', '.join(close)}" if close else f"there are {len(every)}, such as {', '.join(every[:5])}"
