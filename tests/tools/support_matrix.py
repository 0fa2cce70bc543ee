"""The table in README of what was compared with real QEMUs: which machine types are made how, and what the sweeps said.

    python -m tests.tools.support_matrix [--write]

The figures of the sweeps are those of fixtures/support.json, which `python -m tests.sweep.x86 --keep FILE` and
`python -m tests.sweep.virt --keep FILE` write; all else is counted from the package.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from qshim.argv import CommandLine, OptionError
from qshim.argv.dialect import option_help
from qshim.cli import machines
from qshim.cli.modelled import is_modelled
from qshim.errors import RecordingError
from tests.support.oracle import LABELS

__all__ = ["END", "START", "table"]

ROOT = Path(__file__).parents[2]
FOUND = ROOT / "fixtures" / "support.json"
START, END = "<!-- support matrix -->\n", "<!-- end of support matrix -->\n"


def types_of(label: str, target: str) -> Iterator[str]:
    """Machine types that -M help lists, without aliases."""
    for row in option_help(label, target)["-M help"][1].splitlines()[1:]:
        if row.strip() and "(alias of " not in row:
            yield row.split()[0]


def is_recorded(label: str, target: str, name: str) -> bool:
    """Whether a recording of machine type *name* comes with qshim."""
    try:
        machines.find(CommandLine(machine=name, stopped=True), target, label)
    except (OptionError, RecordingError):
        return False
    return True


def table() -> str:
    """The table, a line for each emulator and release."""
    found: dict[str, dict[str, dict[str, Any]]] = json.loads(FOUND.read_text("utf-8"))
    rows = [
        "| emulator | QEMU | made from the command line | random command lines, the same (refused) | as recorded |",
        "|---|---|---|---|---|",
    ]
    for target in machines.TARGETS:
        for label in LABELS:
            names = list(types_of(label, target))
            modelled = sum(is_modelled(name, target) for name in names)
            recorded = sum(is_recorded(label, target, name) for name in names if not is_modelled(name, target))
            told = found.get(target, {}).get(label)
            share = "not swept"
            if told is not None:
                share = f"{told['same']} of {told['lines']} ({told['refused']}), seed {told['seed']}"
            rows.append(f"| {target} | {label} | {modelled} | {share} | {recorded} of {len(names) - modelled} |")
    return "".join(f"{row}\n" for row in rows)


def main() -> None:
    """Print the table, or write it into README."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--write", action="store_true")
    if not parser.parse_args().write:
        print(table(), end="")
        return
    readme = ROOT / "README.md"
    before, _, rest = readme.read_text("utf-8").partition(START)
    readme.write_text(f"{before}{START}{table()}{END}{rest.partition(END)[2]}", "utf-8")


if __name__ == "__main__":
    main()
