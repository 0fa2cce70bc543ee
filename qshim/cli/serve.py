"""Bring a machine to life and serve its monitors, as QEMU does on the same command line.

    qshim serve --recording q35 -- -qmp unix:/tmp/vm.sock,server=on,wait=off

Ends with `quit`, or with SIGTERM, SIGINT or SIGHUP: status 0.
"""

from __future__ import annotations

import argparse

from qshim.cli import recordings
from qshim.errors import UsageError

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    recordings.add_arguments(parser)
    parser.add_argument(
        "--log-level", metavar="L", default="warning", choices=("debug", "info", "warning", "error"),
        help="what goes to stderr: debug, info, warning (default), error",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Serve until the machine quits."""
    from qshim.argv import parse

    line = parse(args.qemu_argv or ())
    if not line.monitors:
        raise UsageError("no monitor to serve; add for example: -- -qmp unix:/tmp/qshim.sock,server=on,wait=off")
    vm = recordings.machine(args, later=True)
    vm.name = line.name or vm.name
    vm.uuid = line.uuid or vm.uuid
    from qshim.edge.server import log_to_stderr, serve

    log_to_stderr(args.log_level)
    serve(vm, line.monitors)
    return 0
