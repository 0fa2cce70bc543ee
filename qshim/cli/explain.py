"""How a guest address resolves: flat range, region and the way to it, RAM block, host address.

qshim explain 0xfee00000 --recording q35
"""

from __future__ import annotations

import argparse
import sys

from qshim.cli import recordings
from qshim.errors import UsageError

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("address", metavar="ADDR", help="guest address: 0x for hexadecimal, else decimal")
    recordings.add_arguments(parser)
    parser.add_argument("--space", default="memory", metavar="NAME", help="address space (default: memory)")
    parser.add_argument("--json", action="store_true", help="print the explanation as data")


def run(args: argparse.Namespace) -> int:
    """Print the explanation on stdout."""
    if args.qemu_argv:
        raise UsageError("qshim explain takes a recording and no QEMU command line; leave out what stands behind --")
    try:
        addr = int(args.address, 0)
    except ValueError as error:
        raise UsageError(f"'{args.address}' is no address; write 0xfee00000 or 4276092928") from error
    vm = recordings.machine(args)
    from qshim.views.explain import explain, explain_json, explain_text

    found = explain(vm, addr, args.space)
    if args.json:
        import json

        sys.stdout.write(json.dumps(explain_json(found), indent=2) + "\n")
    else:
        sys.stdout.write(explain_text(found))
    return 0
