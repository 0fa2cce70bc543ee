"""Every HMP command of each QEMU, modelled here or not: names, argument types, help (data/hmp-commands.json.xz).

The data was read out of real binaries by tests/tools/extract_hmp_commands.py. It is loaded when somebody
first uses a command line.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple, TypedDict

from qshim.monitor.hmp.arguments import Parameter, parameters

__all__ = ["Catalogue", "Entry", "catalogue", "fixed_text"]


class Entry(NamedTuple):
    """One command, or one item of `info`."""

    name: str
    """With its aliases: `quit|q`."""
    types: str
    """Argument types as QEMU writes them: `fmt:/,addr:l`."""
    shown: str
    """The parameters as help shows them."""
    help: str
    flags: str
    foreign: bool = False
    """Meant for other targets; 11.1 knows the word, and refuses it in strange words."""
    unbuilt: bool = False
    """An item of info that the binary was built without."""

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The parameters in order."""
        return parameters(self.types)

    @property
    def aliases(self) -> tuple[str, ...]:
        """Every name that may be typed."""
        return tuple(self.name.split("|"))


class Catalogue(NamedTuple):
    """The commands of one dialect and target, sorted by name."""

    commands: tuple[Entry, ...]
    info: tuple[Entry, ...]
    by_name: Mapping[str, Entry]
    info_by_name: Mapping[str, Entry]


class _Target(TypedDict):
    commands: list[int]
    info: list[int]


class _Dialect(TypedDict):
    unbuilt: list[str]
    texts: dict[str, list[str]]
    records: list[list[str]]
    targets: dict[str, _Target]


@cache
def _data() -> dict[str, _Dialect]:
    import json
    import lzma

    packed = (Path(__file__).parents[2] / "data" / "hmp-commands.json.xz").read_bytes()
    data: dict[str, _Dialect] = json.loads(lzma.decompress(packed))
    return data


@cache
def catalogue(dialect: str, target: str) -> Catalogue:
    """The commands that *dialect* has for *target*; a target that was not read has those of x86_64."""
    data = _data()[dialect]
    numbers = data["targets"].get(target, data["targets"]["x86_64"])

    unbuilt = frozenset(data["unbuilt"])

    def entries(of: list[int]) -> tuple[Entry, ...]:
        rows = []
        for n in of:
            name, types, shown, text, flags = data["records"][n if n >= 0 else -1 - n]
            rows.append(Entry(name, types, shown, text, flags, n < 0, of is numbers["info"] and name in unbuilt))
        return tuple(rows)

    commands, info = entries(numbers["commands"]), entries(numbers["info"])
    return Catalogue(commands, info, _by_name(commands), _by_name(info))


def _by_name(entries: tuple[Entry, ...]) -> dict[str, Entry]:
    return {alias: entry for entry in entries for alias in entry.aliases}


def fixed_text(dialect: str, line: str) -> str | None:
    """What QEMU prints for *line* whatever the machine is, such as `help log`; None for any other line."""
    lines = _data()[dialect]["texts"].get(line)
    return None if lines is None else "".join(f"{each}\n" for each in lines)
