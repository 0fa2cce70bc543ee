"""Bring a machine to life and serve its monitors, as QEMU does on the same command line.

    qshim serve --recording q35 -- -qmp unix:/tmp/vm.sock,server=on,wait=off
    qshim serve -- -M q35 -qmp unix:/tmp/vm.sock,server=on,wait=off

Ends with `quit`, or with SIGTERM, SIGINT or SIGHUP: status 0.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from qshim import versions
from qshim.cli import recordings
from qshim.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from qshim.argv import CommandLine
    from qshim.edge.process import Beside
    from qshim.vm import Vm

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    recordings.add_arguments(parser)
    parser.add_argument(
        "--target", metavar="T", default="x86_64", help="of a machine that -M names: x86_64 (default), aarch64 ..."
    )
    parser.add_argument(
        "--allow-writes", metavar="DIR", action="append", default=[],
        help="monitor commands may write files below DIR; may be given more than once (default: nowhere)",
    )  # fmt: skip
    parser.add_argument(
        "--allow-remote", action="store_true", help="TCP may use other addresses than loopback; a monitor is powerful"
    )
    parser.add_argument("--extensions", action="store_true", help="add the commands x-qshim-query-mtree and the like")
    parser.add_argument(
        "--log-level", metavar="L", default="warning", choices=("debug", "info", "warning", "error"),
        help="what goes to stderr: debug, info, warning (default), error",
    )  # fmt: skip
    from qshim.cli.bridge import add_bridge_arguments
    from qshim.cli.mqtt import add_arguments as add_mqtt

    add_bridge_arguments(add_mqtt(parser))


def run(args: argparse.Namespace) -> int:
    """Serve until the machine quits."""
    from qshim.argv import Answered, parse

    label = args.qemu_version or versions.DEFAULT.label
    if label not in versions.KNOWN:
        raise UsageError(f"QEMU {label} is not a version that qshim speaks; it speaks {', '.join(versions.KNOWN)}")
    try:
        line = parse(args.qemu_argv or (), label, args.target, _text)
    except Answered as answer:
        sys.stdout.write(answer.text)
        return answer.status
    if not line.monitors:
        raise UsageError("no monitor to serve; add for example: -- -qmp unix:/tmp/qshim.sock,server=on,wait=off")
    beside = _bridge(args)
    vm = _machine(args, line, label)
    for warning in line.warnings:
        print(f"qshim: {warning}", file=sys.stderr)
    from qshim.edge.chardevs import Policy
    from qshim.edge.files import HostFiles
    from qshim.edge.process import serve
    from qshim.edge.server import log_to_stderr

    vm.files = HostFiles(args.allow_writes)
    vm.extensions = args.extensions
    log_to_stderr(args.log_level)
    serve(vm, line, Policy(allow_remote=args.allow_remote), program="qshim", **beside(vm))
    return 0


def _bridge(args: argparse.Namespace) -> Callable[[Vm], dict[str, Beside]]:
    """What makes the bridge of --mqtt, if there is to be one; wrong options are found before there is a machine."""
    if args.mqtt is None:
        return lambda vm: {}
    from functools import partial

    from qshim.cli.bridge import options_of
    from qshim.cli.mqtt import access_of
    from qshim.edge.mqtt import check
    from qshim.edge.mqtt_local import bridging

    access, options = access_of(args), options_of(args)
    check(access)
    return lambda vm: {"beside": partial(bridging, vm, access, options)}


def _machine(args: argparse.Namespace, line: CommandLine, label: str) -> Vm:
    if args.recording is None:
        if line.machine is None:
            raise UsageError("no machine; name one with --recording FILE, or with -M behind --")
        from qshim.cli import machines

        return machines.machine(line, args.target, label, put_off=not line.daemonize)
    asked = (("-M", line.machine), ("-m", line.memory), ("-cpu", line.cpu), *((word, word) for word in line.layout))
    for option, value in asked:
        if value is not None:
            raise UsageError(f"{option}: --recording says what the machine is; leave one of them out")
    vm = recordings.machine(args, later=True)
    vm.name = line.name or vm.name
    vm.uuid = line.uuid or vm.uuid
    vm.actions.update(line.actions)
    return vm


def _text(path: str) -> str:
    with open(path, encoding="utf-8") as stream:
        return stream.read()
