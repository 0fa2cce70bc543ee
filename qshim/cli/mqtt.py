"""The options of every subcommand that talks to an MQTT broker, and publishing a verdict."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qshim.errors import QshimError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from qshim.bridge.broker import Access, Broker

__all__ = [
    "access_of",
    "add_arguments",
    "add_host",
    "add_source_arguments",
    "add_verdict_arguments",
    "host_of",
    "judging",
    "publish_verdict",
    "reached",
]

_USER, _PASSWORD = "QSHIM_MQTT_USER", "QSHIM_MQTT_PASSWORD"
_COULD_NOT = 3


def add_arguments(parser: argparse.ArgumentParser, *, required: bool = False) -> argparse._ArgumentGroup:
    """`--mqtt` and what belongs to it."""
    group = _group(parser)
    group.add_argument(
        "--mqtt", metavar="URL", required=required,
        help="the broker: mqtt://HOST[:PORT][/PREFIX], mqtts:// with TLS, ws://HOST[:PORT]/PATH[?prefix=PREFIX], wss://",
    )  # fmt: skip
    _add_connection(group)
    return group


def add_source_arguments(parser: argparse.ArgumentParser) -> None:
    """What belongs to a connection to a broker that is a source: mqtt://BROKER/PREFIX/HOST/VM."""
    _add_connection(_group(parser))
    parser.set_defaults(host=None)


def _group(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    return parser.add_argument_group(
        "MQTT", f"User and password come from {_USER} and {_PASSWORD}, or from --mqtt-credentials."
    )


def _add_connection(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--mqtt-credentials", metavar="FILE", help="a file with two lines: the user's name, and the password"
    )
    group.add_argument(
        "--mqtt-ca", metavar="FILE", help="trust the broker's certificate by these authorities (default: the system's)"
    )
    group.add_argument("--mqtt-cert", metavar="FILE", help="show the broker this certificate of ours")
    group.add_argument("--mqtt-key", metavar="FILE", help="its key (default: in the same file)")
    group.add_argument("--mqtt-client-id", metavar="ID", help="default: qshim, the host and random digits")
    group.add_argument(
        "--mqtt-keepalive", metavar="SECONDS", type=_seconds, default=60,
        help="ask a silent broker whether it lives (default: %(default)s)",
    )  # fmt: skip


def add_host(group: argparse._ArgumentGroup) -> None:
    """`--host`."""
    group.add_argument("--host", metavar="NAME", help="the host in topics (default: this host's name)")


def add_verdict_arguments(parser: argparse.ArgumentParser, what: str) -> None:
    """The options to publish a verdict; *what* says which name it gets without --vm."""
    group = add_arguments(parser)
    add_host(group)
    group.add_argument("--vm", metavar="NAME", help=f"the machine in the topic (default: {what})")


def host_of(args: argparse.Namespace) -> str:
    """The name of the host in topics."""
    return args.host or os.uname().nodename


def access_of(args: argparse.Namespace) -> Access:
    """The connection that the options describe.

    :raises UsageError: they are wrong, or the file with the password cannot be read.
    """
    from qshim.bridge.broker import broker_of

    return _access(args, broker_of(args.mqtt))


def reached(args: argparse.Namespace) -> Callable[[Broker], Access]:
    """How the options reach a broker that a source names."""
    return partial(_access, args)


def _access(args: argparse.Namespace, broker: Broker) -> Access:
    import secrets

    from qshim.bridge.broker import Access

    user, password = _credentials(args.mqtt_credentials)
    if password is not None and user is None:
        raise UsageError(f"{_PASSWORD} is set and {_USER} is not; MQTT has no password without a user")
    return Access(
        broker,
        args.mqtt_client_id or f"qshim-{host_of(args)}-{secrets.token_hex(4)}",
        user,
        password,
        args.mqtt_ca,
        args.mqtt_cert,
        args.mqtt_key,
        args.mqtt_keepalive,
    )


@contextmanager
def judging(args: argparse.Namespace, kind: str, vm: str, verdict: str) -> Iterator[None]:
    """While a `crosscheck` or `check` is made: wrong options are told before anything takes long.

    What fails with status 3 is published as *verdict* of the machine *vm*, since otherwise a broker would keep an
    older one that may be true no more.

    :raises UsageError: the options are wrong, or no MQTT library is installed.
    """
    if args.mqtt is None:
        yield
        return
    from qshim.edge.mqtt import check

    check(access_of(args))
    try:
        yield
    except QshimError as error:
        if error.exit_status == _COULD_NOT:
            publish_verdict(args, kind, vm, verdict, _COULD_NOT, None)
        raise


def publish_verdict(
    args: argparse.Namespace, kind: str, vm: str, verdict: str, exit_status: int, report: Mapping[str, Any] | None
) -> int:
    """Publish the result of a `crosscheck` or `check` where --mqtt asks for it; the exit status of the whole.

    A result that could not be published hides no other: the status stays what it was, but 0 becomes 3, and the
    reason is said on stderr.
    """
    if args.mqtt is None:
        return exit_status
    import time

    from qshim.bridge.payloads import Limits, Payloads
    from qshim.bridge.topics import Topics
    from qshim.edge.mqtt_once import publish_once
    from qshim.edge.real_qemu import run as run_edge

    access, host, vm = access_of(args), host_of(args), args.vm or vm
    payload = Payloads(host, vm, Limits()).verdict(kind, verdict, exit_status, report, int(time.time()))
    topic = Topics(access.broker.prefix, host).machine(vm).verdict(kind)
    try:
        run_edge(publish_once(access, topic, payload))
    except QshimError as error:
        print(f"qshim: the verdict `{verdict}` was not published: {error}", file=sys.stderr)
        return exit_status or _COULD_NOT
    return exit_status


def _credentials(path: str | None) -> tuple[str | None, str | None]:
    if path is None:
        return os.environ.get(_USER), os.environ.get(_PASSWORD)
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: {getattr(error, 'strerror', None) or 'no UTF-8'}") from error
    if not 1 <= len(lines) <= 2 or not lines[0]:
        raise UsageError(f"{path}: the first line is the user's name, the second the password")
    return lines[0], lines[1] if len(lines) == 2 else None


def _seconds(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of seconds from 1 to 65535")
    return int(text)
