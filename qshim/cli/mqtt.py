"""The options of every subcommand that talks to an MQTT broker, and publishing a verdict."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qshim.errors import QshimError, UsageError

if TYPE_CHECKING:
    from qshim.bridge.broker import Access

__all__ = ["access_of", "add_arguments", "add_host", "add_verdict_arguments", "host_of", "publish_verdict"]

_USER, _PASSWORD = "QSHIM_MQTT_USER", "QSHIM_MQTT_PASSWORD"
_PUBLISH_SECONDS = 30.0


def add_arguments(parser: argparse.ArgumentParser, *, required: bool = False) -> argparse._ArgumentGroup:
    """`--mqtt` and what belongs to it."""
    group = parser.add_argument_group(
        "MQTT", f"User and password come from {_USER} and {_PASSWORD}, or from --mqtt-credentials."
    )
    group.add_argument(
        "--mqtt", metavar="URL", required=required,
        help="the broker: mqtt://HOST[:PORT][/PREFIX], mqtts:// with TLS, ws://HOST[:PORT]/PATH[?prefix=PREFIX], wss://",
    )  # fmt: skip
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
    return group


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
    import secrets

    from qshim.bridge.broker import Access, broker_of

    broker = broker_of(args.mqtt)
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


def publish_verdict(
    args: argparse.Namespace, kind: str, vm: str, verdict: str, exit_status: int, report: Mapping[str, Any]
) -> int:
    """Publish the result of a `crosscheck` or `check` where --mqtt asks for it; the exit status of the whole.

    A result that could not be published hides no other: the status stays what it was, but 0 becomes 3, and the
    reason is said on stderr.
    """
    if args.mqtt is None:
        return exit_status
    import asyncio
    import time

    from qshim.bridge.payloads import Limits, Payloads
    from qshim.bridge.topics import Topics
    from qshim.edge.mqtt_bridge import publish_once
    from qshim.edge.real_qemu import run as run_edge

    access, host, vm = access_of(args), host_of(args), args.vm or vm
    payload = Payloads(host, vm, Limits()).verdict(kind, verdict, exit_status, report, int(time.time()))

    async def publish() -> None:
        try:
            async with asyncio.timeout(_PUBLISH_SECONDS):
                await publish_once(access, Topics(access.broker.prefix, host).machine(vm).verdict(kind), payload)
        except TimeoutError:
            raise QshimError(f"{access.broker} did not take it within {_PUBLISH_SECONDS:g} s") from None

    try:
        run_edge(publish())
    except QshimError as error:
        print(f"qshim: the verdict `{verdict}` was not published: {error}", file=sys.stderr)
        return exit_status or 3
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
    value = int(text)
    if not 1 <= value <= 65535:
        raise ValueError
    return value
