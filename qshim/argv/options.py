"""QEMU's command line: a table of options, read into one frozen `CommandLine`.

Every option of QEMU is one of four kinds: it has a meaning here, it changes nothing that a monitor can
see (`TOLERATED`), it would change the machine (kept in `CommandLine.layout`; whoever makes the machine
decides), or qshim cannot do what it asks and says so (`REFUSED`). What QEMU does not have is refused in
its words.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from qshim.argv.chardev import parse_chardev, parse_short
from qshim.argv.dialect import DIALECTS, Dialect, known_options, object_help, option_help, trace_events
from qshim.argv.errors import Answered, OptionError
from qshim.argv.line import MOST_USERS, CommandLine, Monitor, Port
from qshim.argv.monitors import mon, monitor, monitor_object, named
from qshim.argv.opts import IDENTIFIER_HINT, identifier, members, on_off, size, split

__all__ = ["REFUSED", "TOLERATED", "parse"]

TOLERATED = {
    "dfilter": "logging",
    "k": "keyboard layout", "msg": "how messages look", "name": "",
    "no-user-config": "no configuration file is read anyway", "enable-sync-profile": "profiling",
    "only-migratable": "nothing is migrated", "mem-prealloc": "host memory",
    "run-with": "the process", "async-teardown": "the process",

    "icount": "how the guest would execute", "singlestep": "how the guest would execute", "plugin": "execution",
    "perfmap": "execution", "jitdump": "execution",
    "full-screen": "a window", "shim": "what would boot",
    "semihosting": "execution", "semihosting-config": "execution", "no-fd-bootchk": "what firmware would do",
    "old-param": "what would boot", "snapshot": "block devices",
    "win2k-hack": "a disk that is not there", "audio-help": "",
}  # fmt: skip
"""Options that change nothing which a monitor shows of memory or of the machine, and why."""

REFUSED = {
    "incoming": "nothing is migrated here",
    "gdb": "no guest runs here", "s": "no guest runs here",
    "vnc": "there is no display",
    "spice": "there is no display",
    "dump-vmstate": "no device state is described here",
    "xen-attach": "there is no Xen", "xen-domid": "there is no Xen", "xen-domid-restrict": "there is no Xen",
}  # fmt: skip
"""Options that ask for what qshim does not do."""

_Apply = Callable[[CommandLine, "_Reader", str, str], CommandLine]

_OUTPUTS = ("none", "gtk", "sdl", "egl-headless", "curses", "spice-app", "dbus", "cocoa", "vnc")
_MAX_DEPTH = 8
_SMP = ("cpus", "drawers", "books", "sockets", "dies", "clusters", "modules", "cores", "threads", "maxcpus")


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
    try:
        for word, value in pairs:
            line = _apply(line, reader, word, value)
        return _checked(line, reader, {word.lstrip("-") for word, _ in pairs})
    except OptionError as error:
        error.warnings = error.warnings or line.warnings
        raise


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


def _checked(line: CommandLine, reader: _Reader, given: set[str]) -> CommandLine:
    """What can only be said when everything was read; *given*: the options that stand there, without dashes."""
    if line.nographic:
        if line.daemonize:
            raise OptionError("-nographic cannot be used with -daemonize")
        line = _on_the_terminal(line, reader, given)
    line = _with_ports(line, reader)
    used: dict[str, int] = {}
    known = {device.id: device for device in line.chardevs}

    def use(chardev: str, option: str) -> None:
        used[chardev] = used.get(chardev, 0) + 1
        if used[chardev] > (MOST_USERS if known[chardev].mux else 1):
            text = reader.dialect.too_often if known[chardev].mux else reader.dialect.twice_used
            raise OptionError(f"{option}: {text.format(chardev)}".removeprefix(": "))

    if line.qtest is not None and line.qtest not in known:
        raise OptionError('Failed to initialize device for qtest: "chardev:qtest"')
    line = line._replace(monitors=named(line.monitors))
    for each in line.monitors:
        if each.chardev not in known:
            raise OptionError(f'{each.option}: chardev "{each.chardev}" not found'.removeprefix(": "))
        use(each.chardev, each.option)
    for port in line.ports:
        if port.chardev is not None:
            if port.chardev not in known:
                raise OptionError(_unconnected(port.option, port.kind))
            use(port.chardev, port.option)
    return line


def _on_the_terminal(line: CommandLine, reader: _Reader, given: set[str]) -> CommandLine:
    """-nographic: what else would be in a window is on standard input and output."""
    if line.nodefaults:
        return line
    no_monitor = given.isdisjoint(("monitor", "mon", "qmp", "qmp-pretty"))
    if not line.serials and line.machine != "none":
        return _serial(line, reader, "-serial", "mon:stdio" if no_monitor else "stdio")
    return _monitor(False)(line, reader, "-monitor", "stdio") if no_monitor else line


def _with_ports(line: CommandLine, reader: _Reader) -> CommandLine:
    """The devices of the ports behind all others, the monitors that `mon:` puts on them, and ports too many."""
    pc = reader.target in ("x86_64", "i386") and line.machine != "none"
    many: dict[str, int] = {}
    for port in line.ports:
        number = many[port.kind] = many.get(port.kind, 0) + 1
        if port.device is not None:
            line = line._replace(chardevs=(*line.chardevs, port.device))
            if port.option.partition(" ")[2].startswith("mon:"):
                line = line._replace(monitors=(*line.monitors, Monitor(port.device.id, False, False, port.option)))
        # a PC has as many ports as are asked for, and one of each by itself
        if pc and port.chardev is not None and (line.nodefaults or number > 1):
            line = line._replace(layout=(*line.layout, port.option))
    return line


def _unconnected(option: str, kind: str) -> str:
    return f"{option}: could not connect {kind} device to character backend '{option.partition(' ')[2]}'"


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
    if name not in ("tcg", "kvm", "xen", "qtest", "hvf", "whpx", "nvmm", "mshv", "nitro") or (
        name == "qtest" and not reader.dialect.has_qtest
    ):
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
        text = values["size"]
        if re.fullmatch(r"0[xX][0-9a-fA-F]+", text):
            # QEMU adds the unit before it reads the number
            if not reader.dialect.old_sizes:
                raise OptionError("Parameter 'memory.size' expects size")
            warning = f"warning: Using a multiplier suffix on hex numbers is deprecated: {text}M"
            line, text = line._replace(warnings=(*line.warnings, warning)), str(int(text, 16))
        if reader.dialect.old_sizes and text.startswith("-"):
            text = "no size"
        bytes_ = size(text, "size", 1 << 20, lambda desc: OptionError(f"{word} {value}: {desc}"))
        # QEMU rounds up to 8 KiB
        line = line._replace(memory=-(-bytes_ // 8192) * 8192 or None)
    if "slots" in values or "maxmem" in values:
        line = line._replace(layout=(*line.layout, f"{word} {value}"))
    return line


def _append(line: CommandLine, reader: _Reader, word: str, value: str) -> CommandLine:
    return line._replace(append=value)


def _cpu(line: CommandLine, reader: _Reader, word: str, value: str) -> CommandLine:
    return line._replace(cpu=value)


def _object(line: CommandLine, reader: _Reader, word: str, value: str) -> CommandLine:
    """An object is another machine; what QEMU would refuse at once is refused in its words."""
    if not value.startswith("{"):
        values, _ = members(value, "qom-type")
        if "qom-type" not in values:
            raise OptionError(f"{word} {value}: Parameter 'qom-type' is missing")
        kinds = option_help(reader.dialect.label, reader.target).get("-object help", (0, ""))[1].split("\n")
        if f"  {values['qom-type']}" not in kinds:
            raise OptionError(f"{word} {value}: Parameter 'qom-type' does not accept value '{values['qom-type']}'")
        if any(key in ("help", "?") and setting is None for key, setting in split(value)[1:]):
            raise Answered(object_help(reader.dialect.label).get(values["qom-type"], ""))
        if "id" not in values:
            raise OptionError(f"{word} {value}: Parameter 'id' is missing")
        if not identifier(values["id"]):
            raise OptionError(f"{word} {value}: Parameter 'id' expects an identifier{IDENTIFIER_HINT}")
        if values["qom-type"] == "memory-backend-file" and "mem-path" not in values:
            raise OptionError(f"{word} {value}: Parameter 'mem-path' is missing")
        if values["qom-type"].startswith("memory-backend-") and "size" not in values:
            raise OptionError(f"{word} {value}: Parameter 'size' is missing")
        if any(monitor.name == values["id"] and not monitor.option for monitor in line.monitors):
            raise OptionError(f"{word} {value}: Duplicate ID '{values['id']}' for object")
        if values["qom-type"] in ("monitor-qmp", "monitor-hmp"):
            # no other machine: every recorded one can have it
            return monitor_object(line, f"{word} {value}", values)
    return line._replace(layout=(*line.layout, f"{word} {value}"))


def _numa(line: CommandLine, reader: _Reader, word: str, value: str) -> CommandLine:
    kind = members(value, "type").values.get("type")
    if kind is None:
        raise OptionError(f"{word} {value}: Parameter 'type' is missing")
    if kind not in ("node", "dist", "cpu", "hmat-lb", "hmat-cache"):
        raise OptionError(f"{word} {value}: Parameter 'type' does not accept value '{kind}'")
    return line._replace(layout=(*line.layout, f"{word} {value}"))


def _vga(line: CommandLine, reader: _Reader, word: str, value: str) -> CommandLine:
    if value not in ("none", "std", "cirrus", "vmware", "qxl", "xenfb", "tcx", "cg3", "virtio"):
        raise OptionError(f"unknown vga type: {value}")
    return line._replace(layout=(*line.layout, f"{word} {value}"))


def _boot(line: CommandLine, reader: _Reader, word: str, value: str) -> CommandLine:
    values = members(value, "order").values
    for drives in (values.get("order", ""), values.get("once", "")):
        for drive in drives:
            if not "a" <= drive <= "p":
                raise OptionError(f"Invalid boot device '{drive}'")
    return line._replace(boot=tuple({**dict(line.boot), **values}.items()))


def _rtc(line: CommandLine, reader: _Reader, word: str, value: str) -> CommandLine:
    base = members(value, "base").values.get("base", "utc")
    if base not in ("utc", "localtime") and not re.fullmatch(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d)?", base):
        raise OptionError("invalid datetime format\nvalid formats: '2006-06-17T16:01:21' or '2006-06-17'")
    return line._replace(clock=True)


def _sandbox(line: CommandLine, reader: _Reader, word: str, value: str) -> CommandLine:
    on_off(members(value, "enable").values, "enable", False, lambda desc: OptionError(f"{word} {value}: {desc}"))
    return line


def _seed(line: CommandLine, reader: _Reader, word: str, value: str) -> CommandLine:
    try:
        int(value, 0)
    except ValueError:
        raise OptionError(f"{word} {value}: Invalid seed number: {value}") from None
    return line


def _overcommit(line: CommandLine, reader: _Reader, word: str, value: str) -> CommandLine:
    for key in members(value).values:
        if key not in ("mem-lock", "cpu-pm"):
            raise OptionError(f"{word} {value}: Invalid parameter '{key}'")
    return line


def _compat(line: CommandLine, reader: _Reader, word: str, value: str) -> CommandLine:
    for key, member in members(value).values.items():
        if key not in ("deprecated-input", "deprecated-output", "unstable-input", "unstable-output"):
            raise OptionError(f"{word} {value}: Parameter '{key}' is unexpected")
        if member != "accept":
            raise OptionError(f"{word} {value}: qshim keeps no policy of deprecated input and output")
    return line


def _log_file(line: CommandLine, reader: _Reader, word: str, value: str) -> CommandLine:
    return line._replace(log_file=value)


def _data_dir(line: CommandLine, reader: _Reader, word: str, value: str) -> CommandLine:
    return line._replace(data_dirs=(*line.data_dirs, value))


def _loadvm(line: CommandLine, reader: _Reader, word: str, value: str) -> CommandLine:
    raise OptionError("no block device can store vmstate for snapshot")


def _qtest(line: CommandLine, reader: _Reader, word: str, value: str) -> CommandLine:
    if value == "chardev:qtest":
        # the only id under which QEMU finds a device that is there already
        return line._replace(qtest="qtest")
    try:
        device = parse_short(word, value, "qtest", reader.dialect)
    except OptionError as error:
        first = error.reports[0].removeprefix(f"{word} {value}: ")
        raise OptionError(first, f'Failed to initialize device for qtest: "{value}"') from None
    kept = tuple(each for each in line.chardevs if each.id != line.qtest or line.qtest is None)
    return line._replace(qtest="qtest", chardevs=(*kept, device))


def _qtest_log(line: CommandLine, reader: _Reader, word: str, value: str) -> CommandLine:
    return line._replace(qtest_log=value)


def _log_items(line: CommandLine, reader: _Reader, word: str, value: str) -> CommandLine:
    answer = option_help(reader.dialect.label, reader.target).get("-d help", (1, ""))
    known = {row.split()[0] for row in answer[1].splitlines()[1:] if row[:1].strip()}
    for item in value.split(","):
        if item not in known and not item.startswith("trace:") and item not in ("all", "none"):
            raise Answered(answer[1], answer[0])
    return line


def _smp(line: CommandLine, reader: _Reader, word: str, value: str) -> CommandLine:
    values, _ = members(value, "cpus")
    for key, number in values.items():
        if key not in _SMP:
            raise OptionError(f"Parameter 'smp.{key}' is unexpected")
        if not number.removeprefix("-").isdecimal():
            raise OptionError(f"Parameter 'smp.{key}' expects integer")
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
        return monitor(line, reader.dialect, f"{word} {value}", control, pretty)

    return apply


def _mon(line: CommandLine, reader: _Reader, word: str, value: str) -> CommandLine:
    return mon(line, reader.dialect, f"{word} {value}")


def _preconfig(line: CommandLine, reader: _Reader, word: str, value: str) -> CommandLine:
    return line._replace(preconfig=True)


def _chroot(line: CommandLine, reader: _Reader, word: str, value: str) -> CommandLine:
    if not os.path.isdir(value):
        raise OptionError("chroot failed")
    raise OptionError(f"{word}: qshim does not do that: the process stays where it is")


def _runas(line: CommandLine, reader: _Reader, word: str, value: str) -> CommandLine:
    import pwd

    try:
        pwd.getpwnam(value)
    except KeyError:
        if not re.fullmatch(r"\d+:\d+", value):
            said = f'{word} {value}: User "{value}" doesn\'t exist (and is not <uid>:<gid>)'
            raise OptionError(said) from None
    # the process stays who it is
    return line


def _trace(line: CommandLine, reader: _Reader, word: str, value: str) -> CommandLine:
    """Nothing is traced; what there is none of is said."""
    name = members(value, "enable").values.get("enable")
    if name is None or {"*", "?"} & set(name) or name in trace_events(reader.dialect.label, reader.target):
        return line
    return line._replace(warnings=(*line.warnings, f"{word} {value}: warning: trace event '{name}' does not exist"))


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
    kind = word.lstrip("-")
    option = f"{word} {value}"
    before = line.serials if kind == "serial" else line.parallels
    label = f"{kind}{len(before)}"
    if value == "none":
        port = Port(kind, None, option)
        line = line._replace(layout=(*line.layout, option))
    elif value.startswith("chardev:"):
        port = Port(kind, value.removeprefix("chardev:"), option)
    else:
        try:
            port = Port(kind, label, option, parse_short(word, value, label, reader.dialect))
        except OptionError as error:
            raise OptionError(error.reports[0], _unconnected(option, kind)) from None
    line = line._replace(ports=(*line.ports, port))
    if kind == "serial":
        return line._replace(serials=(*before, value))
    return line._replace(parallels=(*before, value))


def _echr(line: CommandLine, reader: _Reader, word: str, value: str) -> CommandLine:
    match = re.match(r"\s*([+-]?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)", value)
    if match is None:
        return line._replace(escape=0, printed=(*line.printed, "Bad argument to echr"))
    digits = match[2]
    base = 16 if digits[:2] in ("0x", "0X") else 8 if digits[0] == "0" else 10
    return line._replace(escape=int(match[1] + digits, base))


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
    "monitor": _monitor(False), "S": _stopped, "preconfig": _preconfig, "chroot": _chroot, "runas": _runas,
    "trace": _trace, "name": _name, "uuid": _uuid,
    "display": _display,
    "serial": _serial, "parallel": _serial, "nographic": _nographic, "nodefaults": _nodefaults,
    "daemonize": _daemonize, "pidfile": _pidfile, "action": _action(), "no-reboot": _action(("reboot", "shutdown")),
    "no-shutdown": _action(("shutdown", "pause")), "watchdog-action": _watchdog, "version": _version,
    "readconfig": _readconfig, "object": _object, "numa": _numa, "vga": _vga, "boot": _boot, "rtc": _rtc,
    "append": _append, "sandbox": _sandbox, "seed": _seed, "overcommit": _overcommit, "compat": _compat,
    "loadvm": _loadvm, "qtest": _qtest, "qtest-log": _qtest_log, "d": _log_items, "D": _log_file, "echr": _echr,
    "L": _data_dir,
}  # fmt: skip
