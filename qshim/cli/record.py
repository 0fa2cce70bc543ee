"""Capture a machine of a real QEMU into a recording.

The machine is started paused (or attached to), asked everything that a rebuild needs, and ended (or
left as it was). A QEMU that is attached to is never stopped: its memory is read until two readings
agree.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from qshim.errors import UsageError
from qshim.recording.format import WHENS, Recording, save

__all__ = ["configure", "default_name", "run", "summary"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `qshim record`."""
    parser.usage = "qshim record (--qemu BIN [--when reset|firmware] | --attach ADDR) [-o FILE] [-- QEMU-OPTIONS]"
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--qemu", metavar="BIN", help="the emulator to start, a path or a name in PATH")
    source.add_argument("--attach", metavar="ADDR", help="QMP monitor of a running QEMU: a unix socket or HOST:PORT")
    parser.add_argument(
        "--when",
        choices=WHENS,
        help="reset: before the first instruction (default); firmware: when the firmware has settled; "
        "running: as it is, for --attach (default there)",
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="default: MACHINE-TARGET-VERSION.qrec.xz; a name without .xz is plain"
    )
    parser.add_argument(
        "--settle",
        metavar="SECONDS",
        type=float,
        default=30.0,
        help="with --when firmware: how long to wait for it at most (default 30)",
    )


def run(args: argparse.Namespace) -> int:
    """Capture as *args* say; the file is written only when everything was asked."""
    if args.attach is not None and args.qemu_argv:
        raise UsageError("--attach talks to a QEMU that runs already; leave out the options behind --")
    if args.attach is not None and args.when not in (None, "running"):
        raise UsageError(f"--when {args.when} needs a QEMU of our own (--qemu); a running one is taken as it is")
    if args.qemu is not None and args.when == "running":
        raise UsageError("--when running goes with --attach; a QEMU that is started here has reset or firmware")
    if args.settle <= 0:
        raise UsageError("--settle needs a positive number of seconds")
    if args.output is not None and not Path(args.output).absolute().parent.is_dir():
        raise UsageError(f"-o {args.output}: there is no directory {Path(args.output).parent}")

    from qshim.edge.capture import capture_attached, capture_started
    from qshim.edge.real_qemu import run as run_edge

    if args.attach is not None:
        capture = run_edge(capture_attached(args.attach))
    else:
        capture = run_edge(
            capture_started(
                args.qemu, args.qemu_argv or [], when=args.when or "reset", settle_seconds=args.settle, say=_remark
            )
        )
    recording = capture.recording
    output = args.output or default_name(recording)
    save(recording, output)
    print(f"{output}: {recording.label}, {recording.when}, {summary(recording)}", file=sys.stderr)
    return 0


def default_name(recording: Recording) -> str:
    """The file name for a recording whose user gave none."""
    version = f"{recording.qemu.major}.{recording.qemu.minor}"
    state = "" if recording.when == "reset" else f"-{recording.when}"
    return f"{recording.machine or 'machine'}-{recording.target or 'unknown'}-{version}{state}.qrec.xz"


def summary(recording: Recording) -> str:
    """What a recording holds, in a few words."""
    words = [f"{len(recording.hmp)} texts", f"{len(recording.qmp)} QMP replies", f"{len(recording.qom)} memory regions"]
    if recording.skipped:
        words.append(f"not answered: {', '.join(recording.skipped)}")
    return ", ".join(words)


def _remark(text: str) -> None:
    print(f"qshim: {text}", file=sys.stderr)
