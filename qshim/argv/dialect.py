"""What differs between the command lines of QEMU releases, and which options each of them has.

The options are those of the real binaries (data/options.json, made by tests/tools/extract_options.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

__all__ = ["DIALECTS", "Dialect", "known_options", "object_help", "option_help", "trace_events"]

_DATA = Path(__file__).parents[1] / "data"


class Dialect(NamedTuple):
    """The command line of one QEMU release (monitor.md 6.2, 6.5)."""

    label: str
    year: int
    """In the copyright line of --version."""
    unknown_chardev_keys: frozenset[str] = frozenset()
    """Members of -chardev that this release does not have."""
    mon_is_deprecated: bool = False
    """-mon prints a warning."""
    machine_quoted: bool = True
    """`unsupported machine type` is followed by the type."""
    twice_used: str = "chardev '{}' is already in use"
    """A second monitor on a character device."""
    old_sizes: bool = False
    """-m takes hexadecimal numbers, and has other words for negative ones."""
    has_qtest: bool = False
    """-accel qtest is there (11.1; the releases before were built without)."""
    too_often: str = "too many uses of multiplexed chardev '{}' (maximum is 4)"
    """A fifth one on a device with mux=on."""


DIALECTS: Mapping[str, Dialect] = {
    "7.2": Dialect(
        "7.2", 2022, frozenset({"reconnect-ms"}), machine_quoted=False, old_sizes=True,
        twice_used="Device '{}' is in use", too_often="Device '{}' is in use",
    ),
    "10.0": Dialect("10.0", 2025),
    "11.1": Dialect("11.1", 2026, frozenset({"reconnect"}), mon_is_deprecated=True, has_qtest=True),
}  # fmt: skip


@cache
def known_options(label: str) -> Mapping[str, bool]:
    """Option -> whether it takes a value."""
    import json

    found: dict[str, dict[str, bool]] = json.loads((_DATA / "options.json").read_bytes())
    return found[label]


@cache
def option_help(label: str, target: str) -> Mapping[str, tuple[int, str]]:
    """What `-M help` and the like print: the words -> exit status and text. A target that was not asked has none."""
    import json
    import lzma

    found = json.loads(lzma.decompress((_DATA / "option-help.json.xz").read_bytes()))[label].get(target, {})
    return {words: (status, text) for words, (status, text) in found.items()}


@cache
def object_help(label: str) -> Mapping[str, str]:
    """What `-object TYPE,help` prints for each type, whatever the target."""
    import json
    import lzma

    found: dict[str, dict[str, str]] = json.loads(lzma.decompress((_DATA / "object-help.json.xz").read_bytes()))
    return found[label]


@cache
def trace_events(label: str, target: str) -> tuple[str, ...]:
    """The names of all trace events, in QEMU's order (data/trace-events.json.xz, by tests/tools/extract_lists.py)."""
    import json
    import lzma

    found = json.loads(lzma.decompress((_DATA / "trace-events.json.xz").read_bytes()))
    return tuple(found[label].get(target, ()))
