"""QEMU's command line: a table of options, read into one frozen `CommandLine`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from qshim.argv.chardev import SocketAddress, parse_socket
from qshim.argv.opts import split
from qshim.errors import UsageError

__all__ = ["CommandLine", "Monitor", "parse"]


class Monitor(NamedTuple):
    """A QMP monitor on a listening socket."""

    address: SocketAddress
    pretty: bool = False


class CommandLine(NamedTuple):
    """What was asked for."""

    monitors: tuple[Monitor, ...] = ()
    stopped: bool = False
    """-S"""
    name: str | None = None
    uuid: str | None = None


def parse(words: Sequence[str]) -> CommandLine:
    """The meaning of *words*, program name excluded.

    :raises UsageError: an option that QEMU or qshim does not know, or a value that does not fit it.
    """
    line = CommandLine()
    at = 0
    while at < len(words):
        word = words[at]
        at += 1
        option = _OPTIONS.get(word[2:] if word.startswith("--") else word[1:]) if word.startswith("-") else None
        if option is None:
            raise UsageError(f"{word} is not an option that qshim understands here; it knows {_known()}")
        if not option.takes_value:
            line = option.apply(line, word, "")
            continue
        if at == len(words):
            raise UsageError(f"{word}: requires an argument")
        line = option.apply(line, word, words[at])
        at += 1
    return line


class _Option(NamedTuple):
    apply: Callable[[CommandLine, str, str], CommandLine]
    takes_value: bool = True


def _qmp(line: CommandLine, option: str, value: str) -> CommandLine:
    return line._replace(monitors=(*line.monitors, Monitor(parse_socket(option, value))))


def _qmp_pretty(line: CommandLine, option: str, value: str) -> CommandLine:
    return line._replace(monitors=(*line.monitors, Monitor(parse_socket(option, value), pretty=True)))


def _stopped(line: CommandLine, option: str, value: str) -> CommandLine:
    return line._replace(stopped=True)


def _name(line: CommandLine, option: str, value: str) -> CommandLine:
    for i, (key, member) in enumerate(split(value)):
        if member is None and i == 0:
            line = line._replace(name=key)
        elif key == "guest" and member is not None:
            line = line._replace(name=member)
        elif key not in ("process", "debug-threads") or member is None:
            raise UsageError(f"{option} {value}: Invalid parameter '{key}'")
    return line


def _uuid(line: CommandLine, option: str, value: str) -> CommandLine:
    digits = value.replace("-", "")
    if [len(part) for part in value.split("-")] != [8, 4, 4, 4, 12] or not all(
        c in "0123456789abcdefABCDEF" for c in digits
    ):
        raise UsageError(f"{option} {value}: failed to parse UUID string: wrong format")
    return line._replace(uuid=value.lower())


def _nothing(line: CommandLine, option: str, value: str) -> CommandLine:
    return line


def _only(*allowed: str) -> Callable[[CommandLine, str, str], CommandLine]:
    """An option that may only say that something is absent, as it is here anyway."""

    def apply(line: CommandLine, option: str, value: str) -> CommandLine:
        if value not in allowed:
            raise UsageError(f"{option} {value}: qshim has no such device; it takes {option} {' or '.join(allowed)}")
        return line

    return apply


_OPTIONS: dict[str, _Option] = {
    "qmp": _Option(_qmp),
    "qmp-pretty": _Option(_qmp_pretty),
    "S": _Option(_stopped, takes_value=False),
    "name": _Option(_name),
    "uuid": _Option(_uuid),
    "nodefaults": _Option(_nothing, takes_value=False),
    "no-user-config": _Option(_nothing, takes_value=False),
    "display": _Option(_only("none")),
    "monitor": _Option(_only("none")),
    "serial": _Option(_only("none", "null")),
    "parallel": _Option(_only("none", "null")),
    "vga": _Option(_only("none")),
    "net": _Option(_only("none")),
    "nic": _Option(_only("none")),
}


def _known() -> str:
    return ", ".join(f"-{name}" for name in _OPTIONS)
