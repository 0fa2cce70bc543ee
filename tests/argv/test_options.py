"""QEMU's command line, as far as recorded machines need it: what is understood, and what is refused by name."""

from __future__ import annotations

import pytest

from qshim.argv import CommandLine, Monitor, SocketAddress, parse
from qshim.argv.opts import split
from qshim.errors import UsageError


def test_monitors() -> None:
    line = parse(["-qmp", "unix:/run/a,,b,server=on,wait=off", "--qmp-pretty", "tcp:127.0.0.1:4444,server,nowait"])
    assert line.monitors == (
        Monitor(SocketAddress(path="/run/a,b", wait=False)),
        Monitor(SocketAddress(host="127.0.0.1", port=4444, wait=False), pretty=True),
    )


def test_qemu_waits_unless_told_not_to() -> None:
    [monitor] = parse(["-qmp", "unix:/run/a,server=on"]).monitors
    assert monitor.address.wait


def test_identity_and_what_is_absent_anyway() -> None:
    words = "-S -nodefaults -no-user-config -display none -serial none -name guest=a,process=b -uuid"
    line = parse([*words.split(), "12345678-1234-5678-9ABC-DEF012345678"])
    assert line == CommandLine(stopped=True, name="a", uuid="12345678-1234-5678-9abc-def012345678")
    assert parse(["-name", "a,,b,debug-threads=on"]).name == "a,b"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-m", "4G"], "-m is not an option that qshim understands here; it knows -qmp, "),
        (["disk.img"], "disk.img is not an option that qshim understands here"),
        (["-qmp"], "-qmp: requires an argument"),
        (["-qmp", "stdio"], "-qmp stdio: qshim serves unix:PATH and tcp:HOST:PORT with server=on, not 'stdio'"),
        (["-qmp", "unix:"], "-qmp unix:: qshim serves unix:PATH"),
        (["-qmp", "unix:/a"], "-qmp unix:/a: qshim listens and does not connect; add server=on,wait=off"),
        (["-qmp", "unix:/a,server=maybe"], "Parameter 'server' expects 'on' or 'off', not 'maybe'"),
        (["-qmp", "unix:/a,server=on,foo=1"], "'foo' expects 'on' or 'off'"),
        (["-qmp", "unix:/a,server=on,foo"], "Invalid parameter 'foo'"),
        (["-qmp", f"unix:/{'a' * 108},server=on"], "is too long; it must be less than 108 bytes"),
        (["-qmp", "tcp:127.0.0.1:http,server=on"], "'http' is not a port from 0 to 65535"),
        (["-qmp", "tcp:127.0.0.1:65536,server=on"], "'65536' is not a port from 0 to 65535"),
        (["-display", "gtk"], "-display gtk: qshim has no such device; it takes -display none"),
        (["-uuid", "1234"], "-uuid 1234: failed to parse UUID string: wrong format"),
        (["-name", "a,foo=1"], "-name a,foo=1: Invalid parameter 'foo'"),
    ],
)
def test_refused(words: list[str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(words)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "members"),
    [("", [("", None)]), ("a=b=c", [("a", "b=c")]), (",,", [(",", None)]), ("a,,=1,b", [("a,", "1"), ("b", None)])],
)
def test_split(text: str, members: list[tuple[str, str | None]]) -> None:
    assert split(text) == members
