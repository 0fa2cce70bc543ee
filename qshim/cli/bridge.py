"""Tell an MQTT broker about machines: run state, events, memory layout, and what its changes mean.

qshim bridge --mqtt mqtt://broker.example --attach /run/vm1.sock --attach /run/vm2.sock

The machines are left as they are: nothing stops or changes one, and commands come from the broker only where
--allow-commands names them. Ends with SIGTERM, SIGINT or SIGHUP: status 0.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from qshim.errors import UsageError

if TYPE_CHECKING:
    from qshim.edge.mqtt_bridge import Options

__all__ = ["add_bridge_arguments", "configure", "options_of", "run"]

_SMALLEST = 4096
"""A smaller limit would leave no room for what every message says."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `qshim bridge`."""
    from qshim.cli import mqtt

    parser.description = __doc__
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--attach", metavar="ADDR", action="append", required=True,
        help="QMP monitor of a machine, a unix socket or HOST:PORT; may be given more than once",
    )  # fmt: skip
    add_bridge_arguments(mqtt.add_arguments(parser, required=True))
    parser.add_argument(
        "--log-level", metavar="L", default="warning", choices=("debug", "info", "warning", "error"),
        help="what goes to stderr: debug, info, warning (default), error",
    )  # fmt: skip


def add_bridge_arguments(group: argparse._ArgumentGroup) -> None:
    """What a bridge does, for `qshim bridge` and `qshim serve --mqtt`."""
    from qshim.bridge import defaults
    from qshim.cli import mqtt

    mqtt.add_host(group)
    group.add_argument(
        "--poll", metavar="SECONDS", type=_positive, default=defaults.POLL,
        help="read the layout again after so long without an event (default: %(default)g)",
    )  # fmt: skip
    group.add_argument(
        "--queue", metavar="N", type=int, default=defaults.QUEUE,
        help="events that wait while the broker is away; further ones are counted (default: %(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--max-payload", metavar="BYTES", type=int, default=defaults.MAX_PAYLOAD,
        help="no message is larger (default: %(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--compress-above", metavar="BYTES", type=int, default=defaults.COMPRESS_ABOVE,
        help="compress texts of layouts that are larger (default: %(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--allow-commands", metavar="LIST", nargs="?", const=defaults.ALLOWED,
        help=f"carry out these commands from the broker; without a LIST: {defaults.ALLOWED}. A pattern stands for "
        "commands that only read; one that changes the machine has to be named in full",
    )  # fmt: skip
    group.add_argument(
        "--home-assistant", metavar="PREFIX", nargs="?", const=defaults.DISCOVERY,
        help=f"announce machines to Home Assistant (default prefix: {defaults.DISCOVERY})",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Bridge until a signal comes."""
    if args.qemu_argv is not None:
        raise UsageError("qshim bridge attaches to machines that run; to serve one of ours: qshim serve --mqtt URL")
    if len(set(args.attach)) < len(args.attach):
        raise UsageError("--attach: the same address is given twice, and a QMP monitor serves one client")
    from qshim.cli.mqtt import access_of
    from qshim.edge.mqtt_bridge import bridge_attached, log_bridge_to_stderr
    from qshim.edge.real_qemu import run as run_edge

    log_bridge_to_stderr(args.log_level)
    run_edge(bridge_attached(access_of(args), options_of(args), args.attach))
    return 0


def options_of(args: argparse.Namespace) -> Options:
    """How the bridge of these options behaves.

    :raises UsageError: a number is out of range, or --allow-commands names what cannot be allowed.
    """
    from qshim.bridge.commands import AllowList
    from qshim.bridge.payloads import Limits
    from qshim.cli.mqtt import host_of
    from qshim.edge.mqtt_bridge import Options

    if args.queue < 1:
        raise UsageError(f"--queue {args.queue}: at least one event has to wait")
    if args.max_payload < _SMALLEST or args.compress_above < 0:
        raise UsageError(f"--max-payload is at least {_SMALLEST}, --compress-above at least 0")
    prefix = args.home_assistant
    if prefix is not None and (not prefix or set("+#") & set(prefix)):
        raise UsageError(f"--home-assistant {prefix!r} is no prefix of topics")
    return Options(
        host_of(args),
        poll=args.poll,
        queue=args.queue,
        limits=Limits(args.max_payload, args.compress_above),
        allowed=None if args.allow_commands is None else AllowList(args.allow_commands),
        home_assistant=prefix,
    )


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.05 <= value <= 86400:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds from 0.05 to 86400")
    return value
