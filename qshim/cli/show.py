"""Print one view of a machine, without a server.

qshim show 'info mtree -f' --recording q35
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from qshim.cli import recordings
from qshim.errors import UsageError

if TYPE_CHECKING:
    from qshim.vm import Vm

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("view", metavar="VIEW", help="a command of the human monitor: 'info mtree -f'")
    recordings.add_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print the view as data")


def run(args: argparse.Namespace) -> int:
    """Print the view on stdout."""
    if args.qemu_argv:
        raise UsageError("qshim show takes a recording and no QEMU command line; leave out what stands behind --")
    vm = recordings.machine(args)
    from qshim.monitor.hmp.cursor import LineError
    from qshim.monitor.hmp.line import perform, understand
    from qshim.monitor.registry import CommandError

    try:
        found = understand(vm, args.view)
        if found is None:
            raise UsageError("no view; ask for one, such as 'info mtree'")
        text = _as_json(vm, found.name, found.arguments) if args.json else perform(vm, found)
    except (LineError, CommandError) as error:
        raise UsageError(str(error).rstrip("\n")) from error
    sys.stdout.write(text)
    return 0


def _as_json(vm: Vm, name: str, values: Mapping[str, object]) -> str:
    import json

    from qshim.views import typed

    if name == "info mtree":
        view = typed.flat_json(vm) if values.get("flatview") else typed.tree_json(vm)
    elif name == "info ramblock":
        view = typed.ramblock_json(vm)
    else:
        raise UsageError(f"{name} has no JSON form; info mtree, info mtree -f and info ramblock have one")
    return json.dumps(view, indent=2) + "\n"
