"""Compare a real QEMU with our model, or with another QEMU: what differs, and what it means.

qshim crosscheck --qemu qemu-system-x86_64 -- -M q35 -m 4G
qshim crosscheck --qemu qemu-system-x86_64 --against /opt/qemu-11.1/qemu-system-x86_64 -- -M pc-q35-7.2
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from qshim.errors import UsageError

if TYPE_CHECKING:
    from qshim.crosscheck.report import Report, Side

__all__ = ["configure", "run"]


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
        help="the other machine: a recording, qemu:BIN:'OPTIONS', attach:ADDR, or BIN, which gets the same options",
    )
    other.add_argument(
        "--recording", metavar="FILE", help="our model is rebuilt from this (default: from what the real one says)"
    )
    parser.add_argument("--format", choices=("text", "json"), default="text", help="default: text")
    parser.add_argument("--strict", action="store_true", help="compare bytes: allow nothing to differ")


def run(args: argparse.Namespace) -> int:
    """Compare and print; 0 the same, 1 different, 3 not compared."""
    if args.attach is not None and args.qemu_argv and args.against is None:
        raise UsageError("--attach talks to a QEMU that runs already; leave out the options behind --")
    from qshim.crosscheck import crosscheck
    from qshim.edge.real_qemu import run as run_edge
    from qshim.recording.format import load

    recording = None if args.recording is None else load(Path(args.recording))
    report = run_edge(
        crosscheck(
            args.qemu_argv or [],
            qemu=args.qemu,
            attach=args.attach,
            against=args.against,
            recording=recording,
            strict=args.strict,
        )
    )
    sys.stdout.write(_json(report) if args.format == "json" else "".join(f"{line}\n" for line in _text(report)))
    return report.exit_status


def _text(report: Report) -> Iterator[str]:
    from qshim.reports.text import change_lines, difference_lines

    yield f"- {_described(report.left)}"
    yield f"+ {_described(report.right)}"
    yield from change_lines(report.changes)
    yield from difference_lines(report.texts)
    for name, reason in report.allowances:
        yield f"allowed to differ: {name} ({reason})"
    refusals = [side.refused for side in (report.left, report.right) if side.refused is not None]
    if refusals:
        yield f"{report.verdict}: {' / '.join(dict.fromkeys(refusals))}"
    else:
        yield f"{report.verdict}: {len(report.compared)} texts compared ({', '.join(report.compared)})"


def _described(side: Side) -> str:
    behind = [word for word in (side.machine, f"QEMU {side.version}" if side.version else None) if word]
    return f"{side.name} ({', '.join(behind)})" if behind else side.name


def _json(report: Report) -> str:
    import json

    from qshim.reports.json import changes_json, differences_json

    def side(of: Side) -> dict[str, str | None]:
        return {"name": of.name, "version": of.version, "machine": of.machine, "refused": of.refused}

    document = {
        "schema": "qshim/report/1",
        "verdict": report.verdict,
        "left": side(report.left),
        "right": side(report.right),
        "compared": list(report.compared),
        "allowances": [{"name": name, "reason": reason} for name, reason in report.allowances],
        "changes": changes_json(report.changes),
        "texts": differences_json(report.texts),
    }
    return json.dumps(document, indent=2) + "\n"
