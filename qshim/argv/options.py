"""QEMU's command line: a table of options, read into one frozen `CommandLine`.

Every option of QEMU is one of four kinds: it has a meaning here, it changes nothing that a monitor can
see (`TOLERATED`), it would change the machine (kept in `CommandLine.layout`; whoever makes the machine
decides), or qshim cannot do what it asks and says so (`REFUSED`). What QEMU does not have is refused in
its words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from qshim.argv.chardev import Chardev, parse_chardev, parse_short
from qshim.argv.dialect import DIALECTS, Dialect, known_options, option_help
from qshim.argv.errors import Answered, OptionError
from qshim.argv.opts import members, on_off, size, split

__all__ = ["REFUSED", "TOLERATED", "CommandLine", "Monitor", "parse"]

TOLERATED = {
    "D": "where a log goes", "d": "what is logged", "trace": "tracing", "dfilter": "logging",
    "k": "keyboard layout", "L": "where firmware is looked for", "msg": "how messages look", "name": "",
    "no-user-config": "no configuration file is read anyway", "enable-sync-profile": "profiling",
    "only-migratable": "nothing is migrated", "overcommit": "host memory", "mem-prealloc": "host memory",
    "sandbox": "the process", "run-with": "the process", "async-teardown": "the process", "runas": "the process",
    "boot": "what firmware would do", "rtc": "what the guest would read", "seed": "random numbers of the guest",
    "icount": "how the guest would execute", "singlestep": "how the guest would execute", "plugin": "execution",
    "perfmap": "execution", "jitdump": "execution", "echr": "an escape character of a terminal",
    "full-screen": "a window", "shim": "what would boot",
    "semihosting": "execution", "semihosting-config": "execution", "no-fd-bootchk": "what firmware would do",
    "old-param": "what would boot", "append": "what would boot", "snapshot": "block devices",
    "win2k-hack": "a disk that is not there", "audio-help": "",
}  # fmt: skip
"""Options that change nothing which a monitor shows of memory or of the machine, and why."""

REFUSED = {
    "incoming": "nothing is migrated here", "preconfig": "the machine is complete from the start",
    "gdb": "no guest runs here", "s": "no guest runs here", "loadvm": "no snapshot is loaded here",
    "compat": "no policy of deprecated input is kept here", "vnc": "there is no display",
    "spice": "there is no display", "chroot": "the process stays where it is",
    "dump-vmstate": "no device state is described here", "qtest": "no qtest server is here",
    "xen-attach": "there is no Xen", "xen-domid": "there is no Xen", "xen-domid-restrict": "there is no Xen",
}  # fmt: skip
"""Options that ask for what qshim does not do."""

_Apply = Callable[["CommandLine", "_Reader", str, str], "CommandLine"]

_OUTPUTS = ("none", "gtk", "sdl", "egl-headless", "curses", "spice-app", "dbus", "cocoa", "vnc")
_MAX_DEPTH = 8


class Monitor(NamedTuple):
    """A monitor on the character device *chardev*."""

    chardev: str
    control: bool = True
    """QMP; otherwise the human monitor."""
    pretty: bool = False
    option: str = ""


class CommandLine(NamedTuple):
    """What was asked for."""

    machine: str | None = None
    machine_properties: tuple[tuple[str, str], ...] = ()
    accelerators: tuple[str, ...] = ()
    memory: int | None = None
    """-m: bytes of RAM at start."""
    cpu: str | None = None
    chardevs: tuple[Chardev, ...] = ()
    monitors: tuple[Monitor, ...] = ()
    layout: tuple[str, ...] = ()
    """Options that would make another machine, as typed."""
    stopped: bool = False
    """-S"""
    name: str | None = None
    uuid: str | None = None
    nodefaults: bool = False
    nographic: bool = False
    display: str | None = None
    daemonize: bool = False
    pidfile: str | None = None
    actions: tuple[tuple[str, str], ...] = ()
    """-action, -no-reboot and -no-shutdown, in set-action's words."""
    version: bool = False
    """-version"""
    warnings: tuple[str, ...] = ()


class _Reader(NamedTuple):
    dialect: Dialect
    target: str
    read: Callable[[str], str] | None
    depth: int = 0


def parse(
    words: Sequence[str],
    dialect: str = "11.1",
    target: str = "x86_64",
    read: Callable[[str], str] | None = None,
) -> CommandLine:
    """The meaning of *words*, program name excluded, as the QEMU of *dialect* for *target* takes them.

    *read* returns the text of the file that -readconfig names; without it that option is refused.

    :raises OptionError: an option that QEMU or qshim does not take, or a value that does not fit.
    :raises Answered: a text was asked for.
    """
    reader = _Reader(DIALECTS[dialect], target, read)
    # like QEMU, look at every word first and do something only then
    pairs = tuple(_pairs(words, known_options(dialect)))
    line = CommandLine()
    for word, value in pairs:
        line = _apply(line, reader, word, value)
    return _checked(line, reader)


def _pairs(words: Sequence[str], known: Mapping[str, bool]) -> list[tuple[str, str]]:
    found = []
    at = 0
    while at < len(words):
        word = words[at]
        at += 1
        if not word.startswith("-") or word == "-":
            found.append(("", word))
            continue
        takes_value = known.get(word[2:] if word.startswith("--") else word[1:])
        if takes_value is None:
            raise OptionError(f"{word}: invalid option")
        if takes_value and at == len(words):
            raise OptionError(f"{word}: requires an argument")
        found.append((word, words[at] if takes_value else ""))
        at += takes_value
    return found


def _apply(line: CommandLine, reader: _Reader, word: str, value: str) -> CommandLine:
    if not word:
        return line._replace(layout=(*line.layout, value))
    option = word.lstrip("-")
    helped = _HELPED.get(option)
    if helped is not None and value in ("help", "?", ""):
        answer = option_help(reader.dialect.label, reader.target).get(helped)
        if answer is not None and (value or option in ("h", "help")):
            status, text = answer
            raise Answered(text, status)
    if option in REFUSED:
        raise OptionError(f"{word}: qshim does not do that: {REFUSED[option]}")
    apply = _OPTIONS.get(option)
    if apply is not None:
        return apply(line, reader, word, value)
    if option in TOLERATED:
        return line
    return line._replace(layout=(*line.layout, f"{word} {value}".rstrip()))


def _checked(line: CommandLine, reader: _Reader) -> CommandLine:
    """What can only be said when everything was read."""
    if line.nographic and line.daemonize:
        raise OptionError("-nographic cannot be used with -daemonize")
    used: set[str] = set()
    known = {device.id for device in line.chardevs}
    for monitor in line.monitors:
        if monitor.chardev not in known:
            raise OptionError(f'{monitor.option}: chardev "{monitor.chardev}" not found')
        if monitor.chardev in used:
            raise OptionError(f"{monitor.option}: {reader.dialect.twice_used.format(monitor.chardev)}")
        used.add(monitor.chardev)
    return line


def _machine(line: CommandLine, reader: _Reader, word: str, value: str) -> CommandLine:
    properties = dict(line.machine_properties)
    for i, (key, member) in enumerate(split(value) if value else ()):
        if member is None and i == 0:
            line = line._replace(machine=key)
        elif member is None:
            raise OptionError(f"{word} {value}: Expected '=' after parameter '{key}'")
        elif key == "type":
            line = line._replace(machine=member)
        elif key == "accel":
            line = line._replace(accelerators=tuple(member.split(":")))
            properties["accel"] = member
        else:
            properties[key] = member
    return line._replace(machine_properties=tuple(properties.items()))


def _accel(line: CommandLine, reader: _Reader, word: str, value: str) -> CommandLine:
    name, *rest = value.split(",")
    if name not in ("tcg", "kvm", "xen", "qtest", "hvf", "whpx", "nvmm", "mshv", "nitro"):
        raise OptionError(f"{word} {value}: invalid accelerator {name}")
    for key, _ in split(",".join(rest)) if rest else ():
        if key not in ("thread", "tb-size", "one-insn-per-tb", "split-wx", "kernel-irqchip", "dirty-ring-size"):
            raise OptionError(f"{word} {value}: Property '{name}-accel.{key}' not found")
    if "accel" in dict(line.machine_properties):
        raise OptionError('The -accel and "-machine accel=" options are incompatible')
    return line._replace(accelerators=(*line.accelerators, name))


def _kvm(line: CommandLine, reader: _Reader, word: str, value: str) -> CommandLine:
    return line._replace(accelerators=("kvm",))


def _memory(line: CommandLine, reader: _Reader, word: str, value: str) -> CommandLine:
    values, _ = members(value, "size")
    for key in values:
        if key not in ("size", "slots", "maxmem"):
            raise OptionError(f"{word} {value}: Invalid parameter '{key}'")
    if "size" in values and (value or values["size"]):
        bytes_ = size(values["size"], "size", 1 << 20, lambda desc: OptionError(f"{word} {value}: {desc}"))
        # QEMU rounds up to 8 KiB
        line = line._replace(memory=-(-bytes_ // 8192) * 8192 or None)
    if "slots" in values or "maxmem" in values:
        line = line._replace(layout=(*line.layout, f"{word} {value}"))
    return line


def _cpu(line: CommandLine, reader: _Reader, word: str, value: str) -> CommandLine:
    return line._replace(cpu=value)


def _smp(line: CommandLine, reader: _Reader, word: str, value: str) -> CommandLine:
    values, _ = members(value, "cpus")
    if all(number == "1" for number in values.values()):
        return line
    return line._replace(layout=(*line.layout, f"{word} {value}"))


def _chardev(line: CommandLine, reader: _Reader, word: str, value: str) -> CommandLine:
    device, warnings = parse_chardev(word, value, reader.dialect)
    if any(other.id == device.id for other in line.chardevs):
        raise OptionError(f"{word} {value}: Duplicate ID '{device.id}' for chardev")
    return line._replace(chardevs=(*line.chardevs, device), warnings=(*line.warnings, *warnings))


def _monitor(control: bool, pretty: bool = False) -> _Apply:
    def apply(line: CommandLine, reader: _Reader, word: str, value: str) -> CommandLine:
        if value == "none" and not control:
            return line
        number = sum(device.id.startswith("compat_monitor") for device in line.chardevs)
        label = f"compat_monitor{number}"
        if value.startswith("chardev:"):
            label = value.removeprefix("chardev:")
        else:
            device = parse_short(word, value, label, reader.dialect)
            line = line._replace(chardevs=(*line.chardevs, device))
        return line._replace(monitors=(*line.monitors, Monitor(label, control, pretty, f"{word} {value}")))

    return apply


def _mon(line: CommandLine, reader: _Reader, word: str, value: str) -> CommandLine:
    where = f"{word} {value}"
    if reader.dialect.mon_is_deprecated:
        instead = "'-mon' is deprecated, use '-object' with 'monitor-hmp' or 'monitor-qmp' types instead"
        line = line._replace(warnings=(*line.warnings, f"{where}: warning: {instead}"))
    values, warnings = members(value, "chardev")
    line = line._replace(warnings=(*line.warnings, *(f"{where}: {warning}" for warning in warnings)))

    def fail(desc: str) -> OptionError:
        error = OptionError(f"{where}: {desc}")
        error.warnings = line.warnings
        return error

    for key in values:
        if key not in ("chardev", "mode", "pretty", "id"):
            raise fail(f"Invalid parameter '{key}'")
    if "chardev" not in values:
        raise fail("Parameter 'chardev' is missing")
    mode = values.get("mode", "readline")
    if mode not in ("readline", "control"):
        raise fail(f"Parameter 'mode' does not accept value '{mode}'")
    pretty = on_off(values, "pretty", False, fail)
    if pretty and mode == "readline":
        raise fail("'pretty' is not compatible with HMP monitors")
    monitor = Monitor(values["chardev"], mode == "control", pretty, where)
    return line._replace(monitors=(*line.monitors, monitor))


def _stopped(line: CommandLine, reader: _Reader, word: str, value: str) -> CommandLine:
    return line._replace(stopped=True)


def _name(line: CommandLine, reader: _Reader, word: str, value: str) -> CommandLine:
    for i, (key, member) in enumerate(split(value)):
        if member is None and i == 0:
            line = line._replace(name=key)
        elif key == "guest" and member is not None:
            line = line._replace(name=member)
        elif key not in ("process", "debug-threads") or member is None:
            raise OptionError(f"{word} {value}: Invalid parameter '{key}'")
    return line


def _uuid(line: CommandLine, reader: _Reader, word: str, value: str) -> CommandLine:
    digits = value.replace("-", "")
    if [len(part) for part in value.split("-")] != [8, 4, 4, 4, 12] or not all(
        c in "0123456789abcdefABCDEF" for c in digits
    ):
        raise OptionError(f"{word} {value}: failed to parse UUID string: wrong format")
    return line._replace(uuid=value.lower())


def _display(line: CommandLine, reader: _Reader, word: str, value: str) -> CommandLine:
    kind = value.partition(",")[0]
    if kind not in _OUTPUTS:
        raise OptionError(f"{word} {value}: Parameter 'type' does not accept value '{kind}'")
    if kind != "none":
        raise OptionError(f"{word} {value}: qshim has no display; it takes {word} none")
    return line._replace(display=kind)


def _serial(line: CommandLine, reader: _Reader, word: str, value: str) -> CommandLine:
    """A serial or parallel port stays where it is; nothing ever comes out of it."""
    if value == "none":
        return line._replace(layout=(*line.layout, f"{word} none"))
    if value in ("null", "vc", "stdio", "mon:stdio") or value.partition(":")[0] in ("file", "chardev"):
        return line
    parse_short(word, value, "serial", reader.dialect)
    raise OptionError(f"{word} {value}: qshim has no guest that would write there; it takes {word} null")


def _nographic(line: CommandLine, reader: _Reader, word: str, value: str) -> CommandLine:
    return line._replace(nographic=True)


def _nodefaults(line: CommandLine, reader: _Reader, word: str, value: str) -> CommandLine:
    return line._replace(nodefaults=True)


def _daemonize(line: CommandLine, reader: _Reader, word: str, value: str) -> CommandLine:
    return line._replace(daemonize=True)


def _pidfile(line: CommandLine, reader: _Reader, word: str, value: str) -> CommandLine:
    return line._replace(pidfile=value)


def _action(*pairs: tuple[str, str]) -> _Apply:
    def apply(line: CommandLine, reader: _Reader, word: str, value: str) -> CommandLine:
        chosen = pairs or tuple((key, member or "") for key, member in split(value))
        return line._replace(actions=(*line.actions, *chosen))

    return apply


def _watchdog(line: CommandLine, reader: _Reader, word: str, value: str) -> CommandLine:
    if value not in ("reset", "shutdown", "poweroff", "pause", "debug", "none", "inject-nmi"):
        raise OptionError(f"{word} {value}: Parameter 'watchdog' does not accept value '{value}'")
    return line._replace(actions=(*line.actions, ("watchdog", value)))


def _version(line: CommandLine, reader: _Reader, word: str, value: str) -> CommandLine:
    return line._replace(version=True)


def _readconfig(line: CommandLine, reader: _Reader, word: str, value: str) -> CommandLine:
    from qshim.argv.readconfig import words

    if reader.read is None or reader.depth >= _MAX_DEPTH:
        raise OptionError(f"{word} {value}: qshim reads no configuration file here")
    try:
        text = reader.read(value)
    except OSError as error:
        raise OptionError(f"{word} {value}: Could not open '{value}': {error.strerror}") from None
    reader = reader._replace(depth=reader.depth + 1)
    for inner, arguments in _pairs(words(text, f"{word} {value}"), known_options(reader.dialect.label)):
        line = _apply(line, reader, inner, arguments)
    return line


_HELPED = {
    "h": "-h", "help": "-h", "M": "-M help", "machine": "-M help", "accel": "-accel help", "cpu": "-cpu help",
    "device": "-device help", "object": "-object help", "chardev": "-chardev help", "netdev": "-netdev help",
    "smp": "-smp help", "display": "-display help", "d": "-d help",
}  # fmt: skip

_OPTIONS: dict[str, _Apply] = {
    "M": _machine, "machine": _machine, "accel": _accel, "enable-kvm": _kvm, "m": _memory, "cpu": _cpu, "smp": _smp,
    "chardev": _chardev, "mon": _mon, "qmp": _monitor(True), "qmp-pretty": _monitor(True, pretty=True),
    "monitor": _monitor(False), "S": _stopped, "name": _name, "uuid": _uuid, "display": _display,
    "serial": _serial, "parallel": _serial, "nographic": _nographic, "nodefaults": _nodefaults,
    "daemonize": _daemonize, "pidfile": _pidfile, "action": _action(), "no-reboot": _action(("reboot", "shutdown")),
    "no-shutdown": _action(("shutdown", "pause")), "watchdog-action": _watchdog, "version": _version,
    "readconfig": _readconfig,
}  # fmt: skip
