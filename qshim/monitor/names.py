"""Which command names each QEMU knows, modelled here or not (data/command-names.json.gz).

The data was extracted from real binaries by tests/tools/extract_command_names.py; it is read only
when somebody lists commands or asks for one that has no row.
"""

from __future__ import annotations

from functools import cache
from typing import TypedDict

__all__ = ["known_hmp", "known_qmp", "qmp_names"]


class _Names(TypedDict):
    qmp: list[str]
    hmp: list[str]
    info: list[str]


@cache
def _data() -> dict[str, dict[str, _Names]]:
    import gzip
    import json
    from importlib.resources import files

    packed = files("qshim").joinpath("data/command-names.json.gz").read_bytes()
    data: dict[str, dict[str, _Names]] = json.loads(gzip.decompress(packed))
    return data


def qmp_names(dialect: str, target: str = "x86_64") -> tuple[str, ...]:
    """What query-commands lists, in its order. A *target* that was not asked answers as x86_64."""
    targets = _data()[dialect]
    return tuple(targets.get(target, targets["x86_64"])["qmp"])


@cache
def _known_qmp(dialect: str) -> frozenset[str]:
    return frozenset(name for names in _data()[dialect].values() for name in names["qmp"])


def known_qmp(dialect: str, name: str) -> bool:
    """Whether QEMU has the QMP command *name* for some target."""
    return name in _known_qmp(dialect)


@cache
def _known_hmp(dialect: str) -> frozenset[str]:
    names = _data()[dialect].values()
    commands = {alias for each in names for name in each["hmp"] for alias in name.split("|")}
    return frozenset(commands | {f"info {item}" for each in names for item in each["info"]})


def known_hmp(dialect: str, name: str) -> bool:
    """Whether QEMU has the HMP command *name* (`info` items with the word in front) for some target."""
    return name in _known_hmp(dialect)
