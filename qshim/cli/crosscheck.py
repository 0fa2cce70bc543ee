"""Compare a real QEMU with our model, or with another QEMU: what differs, and what it means.

qshim crosscheck --qemu qemu-system-x86_64 -- -M q35 -m 4G
qshim crosscheck --qemu qemu-system-x86_64 --against /opt/qemu-11.1/qemu-system-x86_64 -- -M pc-q35-7.2
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from qshim.bridge.defaults import SCHEMES
from qshim.cli import mqtt
from qshim.cli.coloured import CHOICES
from qshim.errors import UsageError
from qshim.reports import FORMATS

if TYPE_CHECKING:
    from qshim.reports.model import Report
    from qshim.vm import Vm

__all__ = ["board_from_argv", "configure", "machine_from_argv", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `qshim crosscheck`."""
    parser.usage = (
        "qshim crosscheck (--qemu BIN | --attach ADDR) [--against SOURCE | --recording FILE] [--format F] "
        "[--strict] [-- QEMU-OPTIONS]"
    )
    real = parser.add_mutually_exclusive_group(required=True)
    real.add_argument("--qemu", metavar="BIN", help="the emulator to start, a path or a name in PATH")
    real.add_argument("--attach", metavar="ADDR", help="QMP monitor of a running QEMU; it is left as it was")
    other = parser.add_mutually_exclusive_group()
    other.add_argument(
        "--against",
        metavar="SOURCE",
        help="the other machine: a recording, qemu:BIN:'OPTIONS', argv:'OPTIONS' (our own), attach:ADDR, or BIN, which "
        "gets the same options",
    )
    other.add_argument(
        "--recording", metavar="FILE", help="our model is rebuilt from this (default: from what the real one says)"
    )
    parser.add_argument(
        "--steps", metavar="FILE", help="give both sides these monitor commands and qtest lines, and compare after each"
    )
    parser.add_argument(
        "--minimise", action="store_true", help="with --steps: shrink steps that differ; the fewest go to stderr"
    )
    parser.add_argument("--format", choices=tuple(FORMATS), default="text", help="default: text")
    parser.add_argument(
        "--color", choices=CHOICES, default="auto", help="for text; auto: on a terminal, unless NO_COLOR is set"
    )
    parser.add_argument("--strict", action="store_true", help="compare bytes: allow nothing to differ")
    mqtt.add_verdict_arguments(parser, "as -name or -M calls it, or the stem of the monitor's socket")


def run(args: argparse.Namespace) -> int:
    """Compare and print; 0 the same, 1 different, 3 not compared."""
    if args.attach is not None and args.qemu_argv and args.against is None:
        raise UsageError("--attach talks to a QEMU that runs already; leave out the options behind --")
    if args.against is not None and args.against.startswith(SCHEMES):
        raise UsageError("--against: a bridge tells a layout and no monitor texts; qshim diff compares with that")
    if args.steps is not None and (args.qemu is None or args.recording is not None or args.strict):
        raise UsageError("--steps goes with --qemu, and with --against for a second QEMU; both are started for them")
    if args.minimise and args.steps is None:
        raise UsageError("--minimise shrinks the steps of --steps; command lines are shrunk by qshim sweep --minimise")
    name = _name(args)
    with mqtt.judging(args, "crosscheck", name, "nothing compared"):
        report = _compared(args)
    from qshim.cli.coloured import print_report, wanted
    from qshim.reports import rendered

    if args.format == "text" and wanted(args.color, sys.stdout):
        print_report(report)
    else:
        sys.stdout.write(rendered(report, args.format))
    sys.stdout.flush()
    if args.mqtt is None:
        return report.exit_status
    from qshim.reports.json import document

    return mqtt.publish_verdict(args, "crosscheck", name, report.verdict, report.exit_status, document(report))


def _name(args: argparse.Namespace) -> str:
    """What the machine is called on a broker unless --vm says it, whatever comes of the comparison."""
    if args.attach is not None:
        from qshim.bridge.topics import stem

        return stem(args.attach)
    words = args.qemu_argv or []
    told = {word.lstrip("-"): value for word, value in pairwise(words) if word.startswith("-")}
    for option, key in (("name", "guest="), ("M", "type="), ("machine", "type=")):
        if option in told:
            return str(told[option]).partition(",")[0].removeprefix(key) or "default"
    return "default"


def _compared(args: argparse.Namespace) -> Report:
    from qshim.crosscheck import crosscheck
    from qshim.edge.real_qemu import run as run_edge
    from qshim.recording.format import load

    if args.steps is not None:
        from qshim.crosscheck.steps import read_steps, replay

        steps = read_steps(_text_of(args.steps), args.steps)
        report = run_edge(replay(args.qemu_argv or [], args.qemu, steps, against=args.against, board=board_from_argv))
        if args.minimise and report.exit_status == 1:
            report = _minimised(args, steps, report)
    else:
        recording = None if args.recording is None else load(Path(args.recording))
        report = run_edge(
            crosscheck(
                args.qemu_argv or [],
                qemu=args.qemu,
                attach=args.attach,
                against=args.against,
                recording=recording,
                strict=args.strict,
                model=machine_from_argv, board=board_from_argv,
            )
        )
    return report


def _minimised(args: argparse.Namespace, steps: Sequence[str], report: Report) -> Report:
    """The report of the fewest steps that still differ in one of the ways of *report*; they are printed."""
    from qshim.crosscheck.minimise import minimise_steps
    from qshim.crosscheck.steps import replay
    from qshim.edge.real_qemu import run as run_edge

    def kinds(found: Report) -> set[str]:
        return {change.kind for change in found.changes if not change.place.startswith("before the first step")}

    async def tried(fewer: Sequence[str]) -> Report:
        return await replay(args.qemu_argv or [], args.qemu, fewer, against=args.against, board=board_from_argv)

    async def differs(fewer: Sequence[str]) -> bool:
        return bool(kinds(await tried(fewer)) & kinds(report))

    if not kinds(report):
        return report
    smallest = run_edge(minimise_steps(steps, differs))
    for step in smallest:
        print(step, file=sys.stderr)
    return run_edge(tried(smallest))


def machine_from_argv(argv: Sequence[str], version: str, target: str) -> Vm:
    """Our own machine of QEMU's options *argv*, in the dialect *version*.

    :raises UsageError: that QEMU refuses them, or qshim has no such machine.
    """
    from qshim.argv import Answered, parse
    from qshim.cli import machines

    if target not in machines.TARGETS:
        raise UsageError(f"qshim makes no machines for {target} from a command line")
    try:
        line = parse(argv, version, target, lambda path: Path(path).read_text(encoding="utf-8"))
    except Answered:
        raise UsageError("the options ask for a text and make no machine") from None
    return machines.machine(line, target, version, later=False)


def board_from_argv(argv: Sequence[str], version: str, target: str) -> Vm | None:
    """The same for boards that qshim models, without those properties that only a running guest has; else None."""
    from qshim.argv import Answered, OptionError, parse
    from qshim.cli import machines, modelled

    if target not in machines.TARGETS:
        return None
    try:
        line = parse((*argv, "-S"), version, target, lambda path: Path(path).read_text(encoding="utf-8"))
        name = machines.type_named(line, target, version)
    except (Answered, OptionError):
        return None
    # `none` has no board that could be wrong
    if name == "none" or not modelled.is_modelled(name, target) or not {"kvm", "xen"}.isdisjoint(line.accelerators):
        return None
    try:
        return modelled.modelled(line, name, target, version)
    except OptionError as error:
        raise UsageError("\n".join(error.reports)) from error


def _text_of(name: str) -> str:
    try:
        return Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "no UTF-8"
        raise UsageError(f"cannot read the steps in {name}: {reason}") from error
