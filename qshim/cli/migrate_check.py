"""Would QEMU accept a migration, as far as RAM blocks go? Nothing is started or sent.

qshim migrate-check qemu:/opt/qemu-7.2/bin/qemu-system-x86_64:'-M pc-q35-7.2' argv:'-M pc-q35-7.2'
qshim migrate-check saved.mig layouts/q35.layout

SRC and DST are each a FILE (snapshot, recording, or a message of a bridge), git:REV:PATH, argv:'OPTIONS' (a machine
of our own), qemu:BIN:'OPTIONS', attach:ADDR, or mqtt://BROKER/PREFIX/HOST/VM, what a bridge told a broker; SRC may
also be a migration stream (`migrate exec:cat>FILE`, or `file:FILE` from QEMU 10.0 on). Exit status: 0 accepted,
1 refused, 3 unknown.

Checked are what the destination's `ram` section checks: names, lengths and what may be resized, and with --postcopy
and --ignore-shared page sizes and places. The state of devices is not looked at.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from qshim.cli import mqtt
from qshim.cli.snapshot import add_dialect
from qshim.errors import RecordingError, UsageError

if TYPE_CHECKING:
    from qshim.layout.snapshot import Snapshot
    from qshim.layout.stream import MigrationStream

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `qshim migrate-check`."""
    from qshim.reports.migration import FORMATS

    parser.description = __doc__
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("source", metavar="SRC", help="the machine that sends, or the stream that it sent")
    parser.add_argument("destination", metavar="DST", help="the machine that receives")
    parser.add_argument("--ignore-shared", action="store_true", help="both have the capability x-ignore-shared")
    parser.add_argument("--postcopy", action="store_true", help="both have the capability postcopy-ram")
    parser.add_argument("--format", choices=tuple(FORMATS), default="text", help="default: text")
    add_dialect(parser)
    mqtt.add_source_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Predict and print; 0 accepted, 1 refused, 3 unknown."""
    from qshim.cli.crosscheck import machine_from_argv
    from qshim.crosscheck.snapshots import take_snapshot
    from qshim.edge.real_qemu import run as run_edge
    from qshim.layout.migration import predict
    from qshim.reports.migration import rendered

    async def taken(source: str) -> Snapshot:
        return await take_snapshot(
            source, model=machine_from_argv, version=args.qemu_version, target=args.target, reach=mqtt.reached(args)
        )

    if _is_stream(args.destination):
        raise UsageError(f"{args.destination} is a migration stream: it says what is sent, so it can only be SRC")

    async def both() -> tuple[Snapshot | MigrationStream, Snapshot]:
        sender = _stream(args.source) if _is_stream(args.source) else await taken(args.source)
        return sender, await taken(args.destination)

    sender, receiver = run_edge(both())
    found = predict(sender, receiver, ignore_shared=args.ignore_shared, postcopy=args.postcopy)
    sys.stdout.write(rendered(found, (args.source, args.destination), receiver.qemu, args.format))
    return found.exit_status


def _is_stream(source: str) -> bool:
    from qshim.layout.stream import MAGIC

    try:
        with open(source, "rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def _stream(source: str) -> MigrationStream:
    from qshim.layout.stream import read_stream

    try:
        with Path(source).open("rb") as file:

            def read(offset: int, length: int) -> bytes:
                file.seek(offset)
                return file.read(length)

            return read_stream(read, source)
    except OSError as error:
        raise RecordingError(f"cannot read {source}: {error.strerror}") from error
