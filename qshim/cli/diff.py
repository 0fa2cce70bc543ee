"""What differs between two memory layouts, by what it means.

qshim diff layouts/q35.layout argv:'-M q35 -m 4G'
qshim diff git:main:layouts/q35.layout layouts/q35.layout

A and B are each a FILE (snapshot, recording, or a message of a bridge), git:REV:PATH, argv:'OPTIONS' (a machine of
our own), qemu:BIN:'OPTIONS', attach:ADDR, or mqtt://BROKER/PREFIX/HOST/VM, what a bridge told a broker.
Exit status: 0 the same, 1 they differ, 3 not compared.
"""

from __future__ import annotations

import argparse
import sys

from qshim.cli import mqtt
from qshim.cli.coloured import CHOICES
from qshim.cli.snapshot import add_dialect
from qshim.errors import CompareError
from qshim.reports import FORMATS

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `qshim diff`."""
    parser.description = __doc__
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("a", metavar="A", help="the layout before")
    parser.add_argument("b", metavar="B", help="the layout after")
    parser.add_argument("--format", choices=tuple(FORMATS), default="text", help="default: text")
    parser.add_argument(
        "--color", choices=CHOICES, default="auto", help="for text; auto: on a terminal, unless NO_COLOR is set"
    )
    add_dialect(parser)
    mqtt.add_source_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Compare and print; 0 the same, 1 different, 3 not compared."""
    from qshim.cli.crosscheck import machine_from_argv
    from qshim.crosscheck.snapshots import take_snapshot
    from qshim.edge.real_qemu import run as run_edge
    from qshim.layout.compare import compare
    from qshim.layout.snapshot import Snapshot
    from qshim.reports import rendered
    from qshim.reports.model import Report, Side

    async def taken(source: str) -> Snapshot | str:
        try:
            return await take_snapshot(
                source, model=machine_from_argv, version=args.qemu_version, target=args.target, reach=mqtt.reached(args)
            )
        except CompareError as error:
            return str(error)

    async def both() -> tuple[Snapshot | str, Snapshot | str]:
        return await taken(args.a), await taken(args.b)

    left, right = run_edge(both())

    def side(name: str, side: Snapshot | str) -> Side:
        return Side(name, None, None, side) if isinstance(side, str) else Side(name, side.qemu, side.machine)

    sides = side(args.a, left), side(args.b, right)
    if isinstance(left, str) or isinstance(right, str):
        report = Report(*sides)
    else:
        report = Report(
            *sides, changes=compare(left.layout, right.layout), compared=("regions", "views", "RAM blocks"),
            layouts=(left.layout, right.layout),
        )  # fmt: skip
    from qshim.cli.coloured import print_report, wanted

    if args.format == "text" and wanted(args.color, sys.stdout):
        print_report(report)
    else:
        sys.stdout.write(rendered(report, args.format))
    return report.exit_status
