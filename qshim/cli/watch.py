"""Show a live table of the machines that bridges tell a broker about: run state, memory layout, last verdicts.

On a terminal it goes on until Ctrl-C; elsewhere, or with --once, it prints what the broker has kept.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Group

    from qshim.bridge.overview import Overview, Row

__all__ = ["configure", "run", "table"]

_STYLES = {
    "running": "green", "paused": "yellow", "prelaunch": "yellow", "unreachable": "red", "same": "green",
    "clean": "green", "differs": "red", "findings": "red", "incomplete": "yellow",
}  # fmt: skip


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `qshim watch`."""
    from qshim.cli import mqtt

    parser.add_argument("--once", action="store_true", help="print the table and end")
    mqtt.add_arguments(parser, required=True)
    parser.set_defaults(host=None)


def run(args: argparse.Namespace) -> int:
    """Watch until a signal comes, or print once."""
    from rich.console import Console

    from qshim.bridge.overview import Overview
    from qshim.cli.mqtt import access_of
    from qshim.edge.mqtt_watch import look, watch
    from qshim.edge.real_qemu import run as run_edge

    access = access_of(args)
    overview = Overview(access.broker.prefix)
    if args.once or not sys.stdout.isatty():
        run_edge(look(access, overview))
        Console(width=None if sys.stdout.isatty() else 160).print(table(overview))
        return 0
    from rich.live import Live

    with Live(table(overview), auto_refresh=False, screen=True) as live:
        run_edge(watch(access, overview, lambda trouble: live.update(table(overview, trouble), refresh=True)))
    Console().print(table(overview))
    return 0


def table(overview: Overview, trouble: str | None = None) -> Group:
    """The machines of *overview*, and how many; *trouble*: why it is not up to date."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from qshim.bridge.overview import COLUMNS

    rows = overview.rows
    lost = f", {overview.dropped} events lost" if overview.dropped else ""
    caption = f"{len(rows)} machine{'' if len(rows) == 1 else 's'}{lost}"
    drawn = Table(box=None, pad_edge=False)
    for name in COLUMNS:
        drawn.add_column(name, justify="right" if name == "RAM" else "left")
    for row in rows:
        drawn.add_row(*(Text(cell, style) for cell, style in _cells(row)))
    return Group(drawn, Text(caption, "italic"), *([Text(trouble, "red")] if trouble else ()))


def _cells(row: Row) -> list[tuple[str, str]]:
    from qshim.units import size_text

    ram = "-" if row.used_bytes is None else size_text(row.used_bytes)
    host = row.host if row.online is not False else f"{row.host} (offline)"
    # what a bridge said that is gone may be true no more
    texts = [host, row.machine, row.state, row.layout, ram, row.crosscheck, row.check]
    return [(text, "dim" if row.online is False else _STYLES.get(text, "")) for text in texts]
