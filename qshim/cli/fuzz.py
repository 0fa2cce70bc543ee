"""Random monitor commands on a real QEMU and on our model: the smallest sequence that differs is saved.

A board that qshim models gets register writes and devices that come and go, too.

qshim fuzz --qemu qemu-system-x86_64 -o differs.steps -- -M q35
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qshim.errors import CompareError, UsageError

if TYPE_CHECKING:
    from qshim.reports.model import Report

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `qshim fuzz`."""
    parser.usage = "qshim fuzz --qemu BIN [--examples N] [--seed S] [-o FILE] [-- QEMU-OPTIONS]"
    parser.add_argument("--qemu", metavar="BIN", required=True, help="the emulator to start")
    parser.add_argument("--examples", metavar="N", type=int, default=100, help="sequences to try (default 100)")
    parser.add_argument("--seed", metavar="S", type=int, default=0, help="another seed, other sequences (default 0)")
    parser.add_argument(
        "-o", "--output", metavar="FILE", default="differs.steps", help="for crosscheck --steps (default differs.steps)"
    )


def run(args: argparse.Namespace) -> int:
    """Try sequences; 0 none differs, 1 one does and is saved, 3 could not compare."""
    if args.examples < 1:
        raise UsageError("--examples needs a number above 0")
    if not Path(args.output).absolute().parent.is_dir():
        raise UsageError(f"-o {args.output}: there is no directory {Path(args.output).parent}")
    from qshim.cli.crosscheck import board_from_argv
    from qshim.crosscheck.fuzz import fuzz
    from qshim.crosscheck.steps import replay
    from qshim.edge.real_qemu import run as run_edge
    from qshim.reports import rendered
    from qshim.versions import DEFAULT

    argv = args.qemu_argv or []

    def tried(steps: Sequence[str]) -> Report:
        return run_edge(replay(argv, args.qemu, steps, board=board_from_argv))

    try:
        made = board_from_argv(argv, DEFAULT.label, "x86_64")
    except UsageError:
        made = None
    found = fuzz(tried, examples=args.examples, seed=args.seed, board=None if made is None else made.machine)
    if found.report is None:
        print(f"same: {found.tried} sequences of monitor commands")
        return 0
    sys.stdout.write(rendered(found.report, "text"))
    if found.steps:
        try:
            Path(args.output).write_text("".join(f"{step}\n" for step in found.steps), encoding="utf-8")
        except OSError as error:
            raise CompareError(f"cannot write {args.output}: {error.strerror}") from error
        print(f"{len(found.steps)} steps saved in {args.output}; see them with crosscheck --steps", file=sys.stderr)
    return found.report.exit_status
