"""Monitors on the command line: -qmp, -monitor, -mon, and -object monitor-qmp of 11.1 (spec/monitor.md 1.12, 6.2)."""

from __future__ import annotations

from qshim.argv.chardev import parse_short
from qshim.argv.dialect import Dialect
from qshim.argv.errors import OptionError
from qshim.argv.line import CommandLine, Monitor
from qshim.argv.opts import members, on_off

__all__ = ["mon", "monitor", "monitor_object", "named"]


def monitor(line: CommandLine, dialect: Dialect, where: str, control: bool, pretty: bool) -> CommandLine:
    """-qmp, -qmp-pretty or -monitor; *where* is the option as typed.

    :raises OptionError: it cannot be understood.
    """
    word, _, value = where.partition(" ")
    if value == "none" and not control:
        return line
    number = sum(device.id.startswith("compat_monitor") for device in line.chardevs)
    label = f"compat_monitor{number}"
    if value.startswith("chardev:"):
        label = value.removeprefix("chardev:")
    else:
        device = parse_short(word, value, label, dialect)
        line = line._replace(chardevs=(*line.chardevs, device))
    return _with(line, Monitor(label, control, pretty, where, label))


def mon(line: CommandLine, dialect: Dialect, where: str) -> CommandLine:
    """-mon.

    :raises OptionError: it cannot be understood.
    """
    instead = "'-mon' is deprecated, use '-object' with 'monitor-hmp' or 'monitor-qmp' types instead"
    # once, however many there are
    if dialect.mon_is_deprecated and not any(instead in warning for warning in line.warnings):
        line = line._replace(warnings=(*line.warnings, f"{where}: warning: {instead}"))
    values, warnings = members(where.partition(" ")[2], "chardev")
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
    return _with(line, Monitor(values["chardev"], mode == "control", pretty, where, values.get("id", "")))


def _with(line: CommandLine, new: Monitor) -> CommandLine:
    if new.name and any(other.name == new.name and other.option for other in line.monitors):
        raise OptionError(f"{new.option}: Duplicate ID '{new.name}' for mon")
    return line._replace(monitors=(*line.monitors, new))


def monitor_object(line: CommandLine, where: str, values: dict[str, str]) -> CommandLine:
    """-object monitor-qmp and monitor-hmp (11.1); of what is wrong with their device QEMU does not say whose it is.

    :raises OptionError: it cannot be understood.
    """

    def fail(desc: str) -> OptionError:
        return OptionError(f"{where}: {desc}")

    control = values["qom-type"] == "monitor-qmp"
    known = ("pretty", "close-action") if control else ("readline",)
    for key in values:
        if key not in ("qom-type", "id", "chardev", *known):
            raise fail(f"Invalid parameter '{key}'")
    if "chardev" not in values:
        raise fail("Parameter 'chardev' is missing")
    close = values.get("close-action", "none")
    if close not in ("none", "delete"):
        raise fail(f"Parameter 'close-action' does not accept value '{close}'")
    new = Monitor(
        values["chardev"], control, on_off(values, "pretty", False, fail), "", values["id"],
        on_off(values, "readline", True, fail), close,
    )  # fmt: skip
    return line._replace(monitors=(*line.monitors, new))


def named(monitors: tuple[Monitor, ...]) -> tuple[Monitor, ...]:
    """*monitors* in the order in which they are made, each with a name of its own.

    Those of -object come first, for they are made when the character devices are there, the others later. Those
    without an id are counted behind those of -qmp and -monitor.

    :raises OptionError: two have the same name.
    """
    number = sum(each.name.startswith("compat_monitor") and each.name == each.chardev for each in monitors)
    found: list[Monitor] = []
    for each in sorted(monitors, key=lambda each: each.option != ""):
        if not each.name:
            each = each._replace(name=f"compat_monitor{number}")
            number += 1
        if any(other.name == each.name for other in found):
            reason = f"attempt to add duplicate property '{each.name}' to object (type 'container')"
            raise OptionError(f"{each.option}: {reason}")
        found.append(each)
    return tuple(found)
