"""Write the memory layout of a machine as a text that is made to be reviewed and kept.

qshim snapshot -o layouts/q35.layout --qemu-version 10.0 -- -M q35 -m 4G
qshim snapshot --qemu /usr/bin/qemu-system-x86_64 -- -M q35 -m 4G

The text is the same for the same layout, whoever makes it: host addresses, hash orders, process ids and the numbers
of unnamed devices are not in it. A directory of such files is what `qshim check` compares with.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from qshim import versions
from qshim.errors import RecordingError, UsageError

if TYPE_CHECKING:
    from qshim.layout.snapshot import Snapshot

__all__ = ["add_dialect", "configure", "run", "write_text"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `qshim snapshot`."""
    parser.usage = (
        "qshim snapshot [-o FILE] (-- QEMU-OPTIONS | --recording R | --attach ADDR | --qemu BIN -- QEMU-OPTIONS)"
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--recording", metavar="R", help="a recording, or the name of one that comes with qshim")
    source.add_argument("--attach", metavar="ADDR", help="QMP monitor of a running QEMU; it is left as it was")
    source.add_argument("--qemu", metavar="BIN", help="the emulator to start, a path or a name in PATH")
    parser.add_argument("-o", "--output", metavar="FILE", help="default: standard output")
    add_dialect(parser)


def add_dialect(parser: argparse.ArgumentParser) -> None:
    """`--qemu-version` and `--target`, for machines that are built from a command line."""
    parser.add_argument(
        "--qemu-version", metavar="V", choices=tuple(versions.KNOWN), default=versions.DEFAULT.label,
        help=f"for our own machines: as this QEMU builds them: {', '.join(versions.KNOWN)} (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--target", metavar="ARCH", default="x86_64", help="for our own machines (default: x86_64)")


def run(args: argparse.Namespace) -> int:
    """Write the snapshot; nothing is written unless all of it could be had."""
    snapshot = _taken(args)
    from qshim.layout.snapshot_text import digest, render

    text = render(snapshot)
    if args.output is None:
        sys.stdout.write(text)
        return 0
    write_text(args.output, text)
    print(f"{args.output}: {snapshot.machine or 'a machine'}, digest {digest(snapshot)[:12]}", file=sys.stderr)
    return 0


def write_text(path: str, text: str) -> None:
    """Write *text* to the file *path*, all of it or nothing.

    :raises RecordingError: it cannot be written; what stood there before stays.
    """
    import os
    import tempfile

    folder = os.path.dirname(path) or "."
    scratch = None
    try:
        handle, scratch = tempfile.mkstemp(prefix=".qshim-", dir=folder)
        with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape", newline="\n") as stream:
            stream.write(text)
            umask = os.umask(0)
            os.umask(umask)
            os.fchmod(stream.fileno(), 0o666 & ~umask)
        os.replace(scratch, path)
        scratch = None
    except OSError as error:
        raise RecordingError(f"cannot write {path}: {error.strerror}") from error
    finally:
        if scratch is not None:
            os.unlink(scratch)


def _taken(args: argparse.Namespace) -> Snapshot:
    if args.recording is not None or args.attach is not None:
        if args.qemu_argv:
            raise UsageError("--recording and --attach name a whole machine; leave out the options behind --")
    elif args.qemu_argv is None:
        raise UsageError("no machine; name one behind --, as in: qshim snapshot -- -M q35 -m 4G")
    from qshim.layout.snapshot import Snapshot

    if args.recording is not None:
        from qshim.cli import recordings

        return Snapshot.of_recording(recordings.find(args.recording))
    if args.attach is None and args.qemu is None:
        from qshim.cli.crosscheck import machine_from_argv
        from qshim.crosscheck.snapshots import of_options

        return of_options(args.qemu_argv, machine_from_argv, args.qemu_version, args.target)
    import shlex

    from qshim.crosscheck.snapshots import take_snapshot
    from qshim.edge.real_qemu import run as run_edge

    if args.attach is not None:
        return run_edge(take_snapshot(f"attach:{args.attach}"))
    return run_edge(take_snapshot(f"qemu:{args.qemu}:{shlex.join(args.qemu_argv)}"))
