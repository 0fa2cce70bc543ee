"""QEMU's command line: what is understood, what changes nothing, and what is refused in QEMU's words."""

from __future__ import annotations

import pytest

from qshim.argv import Answered, Chardev, Monitor, OptionError, SocketAddress, parse
from qshim.argv.dialect import DIALECTS, known_options
from qshim.argv.options import REFUSED, TOLERATED
from qshim.argv.opts import members, split
from qshim.argv.readconfig import words as config_words


def test_monitors() -> None:
    first, second = "unix:/run/a,,b,server=on,wait=off", "tcp:127.0.0.1:4444,server,nowait"
    line = parse(["-qmp", first, "--qmp-pretty", second])
    assert line.chardevs == (
        Chardev("compat_monitor0", "socket", f"-qmp {first}", SocketAddress(path="/run/a,b", wait=False)),
        Chardev(
            "compat_monitor1", "socket", f"--qmp-pretty {second}",
            SocketAddress(host="127.0.0.1", port=4444, wait=False),
        ),
    )  # fmt: skip
    assert line.monitors == (
        Monitor("compat_monitor0", option=f"-qmp {first}", name="compat_monitor0"),
        Monitor("compat_monitor1", pretty=True, option=f"--qmp-pretty {second}", name="compat_monitor1"),
    )
    # short forms pass in silence here, and are warned about with -chardev
    assert line.warnings == ()


def test_chardevs_and_mon() -> None:
    words = (
        "-chardev socket,id=a,path=/a,server=on,wait=off -chardev socket,id=b,fd=7,server=on -chardev socket,id=c,fd=8 "
        "-chardev stdio,id=d -mon a,mode=control,pretty=on -mon chardev=d -monitor chardev:b -monitor none"
    )
    line = parse(words.split(), "10.0")
    addresses = [device.address for device in line.chardevs]
    assert addresses == [
        SocketAddress(path="/a", wait=False), SocketAddress(fd=7), SocketAddress(fd=8, server=False, wait=False), None,
    ]  # fmt: skip
    assert [(m.chardev, m.control, m.pretty) for m in line.monitors] == [
        ("a", True, True), ("d", False, False), ("b", False, False),
    ]  # fmt: skip


def test_qemu_waits_unless_told_not_to() -> None:
    [device] = parse(["-qmp", "unix:/run/a,server=on"]).chardevs
    assert device.address is not None
    assert device.address.wait


@pytest.mark.parametrize(("option", "dialect"), [("reconnect=2", "10.0"), ("reconnect-ms=2000", "11.1")])
def test_a_client_may_connect_again(option: str, dialect: str) -> None:
    [device] = parse(["-chardev", f"socket,id=a,path=/a,{option}"], dialect).chardevs
    assert device.address == SocketAddress(path="/a", server=False, wait=False, reconnect=2)


def test_identity_and_what_changes_nothing() -> None:
    words = "-S -nodefaults -no-user-config -display none -name guest=a,process=b -boot c -daemonize -uuid"
    line = parse([*words.split(), "12345678-1234-5678-9ABC-DEF012345678"])
    assert (line.stopped, line.nodefaults, line.daemonize, line.name) == (True, True, True, "a")
    assert line.uuid == "12345678-1234-5678-9abc-def012345678"
    assert line.layout == ()
    assert parse(["-name", "a,,b,debug-threads=on"]).name == "a,b"


def test_the_machine_and_what_would_change_it() -> None:
    words = "-M q35,accel=kvm:tcg -m 1.5G -cpu qemu64 -device e1000 -smp 1 -smp 2 -serial none disk.img"
    line = parse(words.split())
    assert (line.machine, line.accelerators, line.memory, line.cpu) == ("q35", ("kvm", "tcg"), 3 << 29, "qemu64")
    assert line.layout == ("-device e1000", "-smp 2", "-serial none", "disk.img")
    actions = dict(parse(["-no-reboot", "-action", "shutdown=pause"]).actions)
    assert actions == {"reboot": "shutdown", "shutdown": "pause"}


def test_short_booleans_of_chardev_are_deprecated() -> None:
    text = "socket,id=a,path=x,server,nowait"
    assert parse(["-chardev", text]).warnings == (
        f"-chardev {text}: warning: short-form boolean option 'server' deprecated\nPlease use server=on instead",
        f"-chardev {text}: warning: short-form boolean option 'nowait' deprecated\nPlease use wait=off instead",
    )


def test_readconfig() -> None:
    text = '# a comment\n[chardev "a"]\n  backend = "null"\n'
    text += '[mon "m"]\n  chardev = "a"\n  mode = "control"\n[memory]\n size = "64"\n'
    assert config_words(text, "x") == [
        "-chardev", "backend=null,id=a", "-mon", "chardev=a,mode=control,id=m", "-m", "size=64",
    ]  # fmt: skip
    line = parse(["-readconfig", "f"], read={"f": text}.__getitem__)
    assert line.monitors[0].chardev == "a"
    assert line.memory == 64 << 20
    with pytest.raises(OptionError, match="qshim reads no configuration file here"):
        parse(["-readconfig", "f"], read=lambda path: '[readconfig]\n file = "f"\n')


@pytest.mark.parametrize("label", DIALECTS)
def test_every_option_of_qemu_has_a_kind(label: str) -> None:
    for option, takes_value in known_options(label).items():
        if option in REFUSED:
            words = [f"-{option}", *(["x"] if takes_value else [])]
            with pytest.raises(OptionError, match="qshim does not do that"):
                parse(words, label)
        elif option in TOLERATED and option not in ("name",):
            assert parse([f"-{option}", *(["x"] if takes_value else [])], label) == parse([], label)


def test_texts_that_are_asked_for() -> None:
    with pytest.raises(Answered) as caught:
        parse(["-M", "help"], "7.2")
    assert caught.value.status == 0
    assert "(alias of pc-q35-7.2)" in caught.value.text
    with pytest.raises(Answered) as caught:
        parse(["-d", "help"], "10.0", "aarch64")
    assert caught.value.status == 1


SHORT = "unix:q.sock,server=on,foo=1"


@pytest.mark.parametrize(
    ("words", "reports"),
    [
        (["--foo"], ["--foo: invalid option"]),
        (["-qmp"], ["-qmp: requires an argument"]),
        (["-qmp", "foo:b"], ["-qmp foo:b: 'foo:b' is not a valid char driver", "-qmp foo:b: parse error: foo:b"]),
        (["-qmp", SHORT], [f"-qmp {SHORT}: Invalid parameter 'foo'", f"-qmp {SHORT}: parse error: {SHORT}"]),
        (["-qmp", "tcp:localhost"], ["-qmp tcp:localhost: parse error: tcp:localhost"]),
        (["-qmp", "unix:/a,wait=off"],
         ["-qmp unix:/a,wait=off: 'wait' option is incompatible with socket in client connect mode"]),
        (["-qmp", "unix:/a,server=maybe"], ["-qmp unix:/a,server=maybe: Parameter 'server' expects 'on' or 'off'"]),
        (["-chardev", "null,id=a", "-chardev", "null,id=a"], ["-chardev null,id=a: Duplicate ID 'a' for chardev"]),
        (["-chardev", "null"], ["-chardev null: chardev: no id specified"]),
        (["-chardev", "nope,id=a"], ["-chardev nope,id=a: 'nope' is not a valid char driver name"]),
        (["-chardev", "socket,id=a"], ["-chardev socket,id=a: Unable to parse FD number "]),
        (["-chardev", "file,id=a"], ["-chardev file,id=a: chardev: file: no filename given"]),
        (["-chardev", "socket,id=a,path=x,reconnect=1"],
         ["-chardev socket,id=a,path=x,reconnect=1: Invalid parameter 'reconnect'"]),
        (["-monitor", "chardev:x"], ['-monitor chardev:x: chardev "x" not found']),
        (["-chardev", "null,id=a", "-monitor", "chardev:a", "-qmp", "chardev:a"],
         ["-qmp chardev:a: Duplicate ID 'a' for mon"]),
        (["-chardev", "null,id=a", "-monitor", "chardev:a", "-mon", "a"],
         ["-mon a: chardev 'a' is already in use"]),
        (["-mon", "a,mode=foo"], ["-mon a,mode=foo: Parameter 'mode' does not accept value 'foo'"]),
        (["-mon", "a,pretty=on"], ["-mon a,pretty=on: 'pretty' is not compatible with HMP monitors"]),
        (["-m", "0.3"], ["-m 0.3: Parameter 'size' expects a non-negative number below 2^64\n"
                         "Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, peta-\n"
                         "and exabytes, respectively."]),
        (["-m", "-5"], ["-m -5: Value '-5' is out of range for parameter 'size'"]),
        (["-M", "q35,nvdimm"], ["-M q35,nvdimm: Expected '=' after parameter 'nvdimm'"]),
        (["-display", "foo"], ["-display foo: Parameter 'type' does not accept value 'foo'"]),
        (["-serial", "mon:foo"],
         ["-serial mon:foo: 'foo' is not a valid char driver",
          "-serial mon:foo: could not connect serial device to character backend 'mon:foo'"]),
        (["-serial", "chardev:x"],
         ["-serial chardev:x: could not connect serial device to character backend 'chardev:x'"]),
        (["-chardev", "null,id=x,mux=on", *["-mon", "x"] * 5],
         ["-mon x: too many uses of multiplexed chardev 'x' (maximum is 4)"]),
        (["-nographic", "-daemonize"], ["-nographic cannot be used with -daemonize"]),
        (["-uuid", "1234"], ["-uuid 1234: failed to parse UUID string: wrong format"]),
        (["-name", "a,foo=1"], ["-name a,foo=1: Invalid parameter 'foo'"]),
        (["-qmp", "tn3270::1"],
         ["-qmp tn3270::1: qshim has no character device of the kind 'tn3270::1'; it has socket, udp, stdio, file, "
          "pipe, null, pty, ringbuf, vc"]),
    ],
)  # fmt: skip
def test_refused(words: list[str], reports: list[str]) -> None:
    with pytest.raises(OptionError) as caught:
        parse(words)
    assert list(caught.value.reports) == reports


def test_a_path_that_is_too_long() -> None:
    with pytest.raises(OptionError, match="is too long\nPath must be less than 108 bytes"):
        parse(["-qmp", f"unix:/{'a' * 107},server=on"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", [("", None)]), ("a=b=c", [("a", "b=c")]), (",,", [(",", None)]), ("a,,=1,b", [("a,", "1"), ("b", None)])],
)
def test_split(text: str, expected: list[tuple[str, str | None]]) -> None:
    assert split(text) == expected


def test_members() -> None:
    assert members("a,b=1,noc", "first").values == {"first": "a", "b": "1", "c": "off"}
    assert members("nodelay").values == {"nodelay": "on"}


@pytest.mark.parametrize(
    ("words", "monitors", "ports"),
    [
        ("-nographic", [("serial0", False)], ["serial0"]),
        ("-nographic -M none", [("compat_monitor0", False)], []),
        ("-nographic -monitor none", [], ["serial0"]),
        ("-nographic -serial null", [("compat_monitor0", False)], ["serial0"]),
        ("-nographic -qmp null", [("compat_monitor0", True)], ["serial0"]),
        ("-nographic -nodefaults", [], []),
        ("-serial mon:null -parallel null", [("serial0", False)], ["serial0", "parallel0"]),
    ],
)
def test_what_the_terminal_is_for(words: str, monitors: list[tuple[str, bool]], ports: list[str]) -> None:
    line = parse(words.split())
    assert [(monitor.chardev, monitor.control) for monitor in line.monitors] == monitors
    assert [port.chardev for port in line.ports] == ports
    assert {device.id for device in line.chardevs} == {chardev for chardev, _ in monitors} | set(ports)
    assert all(device.mux == (device.id == "serial0" and "mon" in device.option) for device in line.chardevs)


@pytest.mark.parametrize(
    ("words", "target", "layout"),
    [
        ("-serial null", "x86_64", ()),
        ("-serial null -serial null", "x86_64", ("-serial null",)),
        ("-nodefaults -serial null", "x86_64", ("-serial null",)),
        ("-nodefaults -serial null", "aarch64", ()),
        ("-M none -nodefaults -serial null", "x86_64", ()),
    ],
)
def test_a_pc_has_the_ports_that_are_asked_for(words: str, target: str, layout: tuple[str, ...]) -> None:
    assert parse(words.split(), target=target).layout == layout


def test_escape_characters() -> None:
    assert [parse(["-echr", text]).escape for text in ("1", "0x14", "024", "20x")] == [1, 20, 20, 20]
    odd = parse(["-echr", "x"])
    assert (odd.escape, odd.printed) == (0, ("Bad argument to echr",))
