"""Reports in colour: when, and how wide (https://no-color.org, https://force-color.org)."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.text import Text

    from qshim.reports.model import Report

__all__ = ["CHOICES", "print_report", "wanted"]

CHOICES = ("auto", "always", "never")
"""What `--color` takes."""

_STYLES = {"kind": "bold", "verdict": "bold", "note": "dim", "out": "red", "in": "green", "": ""}
_WIDE = 150
"""Columns from which on the lines of both machines stand beside each other."""


def wanted(choice: str, stream: TextIO) -> bool:
    """Whether *stream* gets colours: the option first, then NO_COLOR, FORCE_COLOR, TERM=dumb, then a terminal."""
    if choice != "auto":
        return choice == "always"
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def print_report(report: Report) -> None:
    """*report* as text on stdout: the first machine in red, the second in green, side by side where there is room."""
    from rich.cells import cell_len
    from rich.console import Console
    from rich.text import Text

    from qshim.reports.text import lines

    console = Console(
        file=sys.stdout, highlight=False, markup=False, soft_wrap=True, force_terminal=True, no_color=False,
        color_system="standard",
    )  # fmt: skip
    half = (console.width - 3) // 2
    for line in lines(report):
        if line.beside is None:
            console.print(Text(line.text, _STYLES[line.style]))
        elif console.width >= _WIDE and max(cell_len(line.text), cell_len(line.beside)) <= half:
            both = Text(line.text.ljust(half), _STYLES["out"])
            console.print(both.append(" | ", "dim").append(line.beside.strip(), _STYLES["in"]))
        elif console.width >= _WIDE:
            for text in _beside(line.text, line.beside, half):
                console.print(text)
        else:
            console.print(Text(line.text, _STYLES["out"]))
            console.print(Text(line.beside, _STYLES["in"]))


def _beside(left: str, right: str, width: int) -> list[Text]:
    """Both lines, each broken into pieces of *width* columns."""
    from rich.text import Text

    indent = "      "
    pieces = [_broken(line, width, indent) for line in (left, right.strip())]
    rows = max(len(side) for side in pieces)
    a, b = ([*side, *[""] * (rows - len(side))] for side in pieces)
    return [
        Text(x.ljust(width), _STYLES["out"]).append(" | ", "dim").append(y, _STYLES["in"])
        for x, y in zip(a, b, strict=True)
    ]


def _broken(line: str, width: int, indent: str) -> list[str]:
    """*line* in pieces, at blanks where there are some."""
    pieces = []
    while len(line) > width:
        cut = line.rfind(" ", len(indent) + 1, width + 1)
        cut = width if cut < 0 else cut
        pieces.append(line[:cut])
        line = indent + line[cut:].lstrip()
    return [*pieces, line]
