"""Grids of command lines: axes with values, combinations that are left out, a sample with a seed.

    argv = "-M {machine} -m {memory} {device}"

    [axes]
    machine = ["pc", "q35"]
    memory = ["128M", "3G"]
    device = ["", "-device virtio-net-pci"]

    [[exclude]]
    machine = "pc"
    memory = "3G"

`argv` is a shell-like line in which `{axis}` stands for the axis's value; a value may be several words
or none. An axis `{ ask = "machines" }` has the machine types that each QEMU names itself. An `[[exclude]]`
table leaves out the combinations that have all its values; on an axis that is asked for, they are
patterns such as `xen*`.
"""

from __future__ import annotations

import random
import re
import shlex
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

from qshim.errors import UsageError

__all__ = ["Case", "Grid"]

_AXIS = re.compile(r"\{([\w-]+)\}")
_MOST = 1_000_000
_QUESTIONS = ("machines",)


@dataclass(frozen=True, slots=True)
class Case:
    """One command line of a grid."""

    values: Mapping[str, str]
    """Axis -> value."""
    argv: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Grid:
    """A grid as it was written."""

    argv: str
    axes: Mapping[str, tuple[str, ...]]
    excluded: tuple[Mapping[str, str], ...] = ()
    asked: Mapping[str, str] = field(default_factory=dict)
    """Axis -> what each QEMU is asked for its values; such an axis has none until `answered`."""

    @classmethod
    def read(cls, text: str, name: str) -> Grid:
        """The grid in TOML *text*; *name* stands in error texts.

        :raises UsageError: no TOML, an unknown or missing member, an axis that is not used, or used and not there.
        """
        try:
            document = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise UsageError(f"{name} is no grid: {error}") from error
        unknown = document.keys() - {"argv", "axes", "exclude"}
        if unknown:
            raise UsageError(f"{name} has the member '{min(unknown)}'; a grid has argv, axes and exclude")
        argv, axes, excluded = document.get("argv"), document.get("axes"), document.get("exclude", [])
        if not isinstance(argv, str):
            raise UsageError(f"{name} lacks argv, a line such as \"-M {{machine}} -m {{memory}}\"")
        if not isinstance(axes, dict) or not axes:
            raise UsageError(f"{name} lacks [axes], each with a list of values")
        for axis, values in axes.items():
            if isinstance(values, dict) and list(values) == ["ask"] and values["ask"] in _QUESTIONS:
                continue
            if not isinstance(values, list) or not values or not all(isinstance(v, str) for v in values):
                raise UsageError(f"{name}: the axis '{axis}' needs a list of strings, or {{ ask = \"machines\" }}")
        used = set(_AXIS.findall(argv))
        if used != axes.keys():
            odd = min(used ^ axes.keys())
            raise UsageError(f"{name}: '{odd}' is {'used in argv but no axis' if odd in used else 'not used in argv'}")
        for table in excluded if isinstance(excluded, list) else [excluded]:
            if not isinstance(table, dict) or not table:
                raise UsageError(f"{name}: exclude is a list of tables, [[exclude]]")
            for axis, value in table.items():
                if axis not in axes or (isinstance(axes[axis], list) and value not in axes[axis]):
                    raise UsageError(f"{name}: [[exclude]] names {axis} = {value!r}, which no axis has")
        asked = {axis: values["ask"] for axis, values in axes.items() if isinstance(values, dict)}
        fixed = {axis: () if axis in asked else tuple(values) for axis, values in axes.items()}
        return cls(argv, fixed, tuple(excluded), asked)

    def answered(self, answers: Mapping[str, Sequence[str]]) -> Grid:
        """The grid for a QEMU that gave *answers* (question -> values)."""
        values = {axis: tuple(answers[question]) for axis, question in self.asked.items()}
        return replace(self, axes={axis: values.get(axis, own) for axis, own in self.axes.items()})

    def cases(self, sample: int | None = None, seed: int = 0) -> Sequence[Case]:
        """Every combination that is not excluded, in the order of the axes; or *sample* of them, chosen by *seed*.

        :raises UsageError: the grid is too large, or an argv cannot be split into words.
        """
        size = 1
        for values in self.axes.values():
            size *= len(values)
        if size > _MOST and sample is None:
            raise UsageError(f"the grid has {size} combinations; take some of them with --sample")
        chosen: list[Case] = []
        for number in range(size) if sample is None else self._drawn(size, sample, seed):
            picked = self._at(number)
            if not any(self._matches(picked, table) for table in self.excluded):
                chosen.append(Case(picked, self._words(picked)))
            if len(chosen) == sample:
                break
        return chosen

    def _matches(self, picked: Mapping[str, str], table: Mapping[str, str]) -> bool:
        return all(
            fnmatchcase(picked[axis], value) if axis in self.asked else picked[axis] == value
            for axis, value in table.items()
        )

    def _drawn(self, size: int, sample: int, seed: int) -> Sequence[int]:
        # more than asked for, because some may be excluded
        return random.Random(seed).sample(range(size), min(size, sample * 4 if self.excluded else sample))

    def _at(self, number: int) -> dict[str, str]:
        """The combination with that number; the last axis changes fastest."""
        picked: dict[str, str] = {}
        for axis in reversed(list(self.axes)):
            number, at = divmod(number, len(self.axes[axis]))
            picked[axis] = self.axes[axis][at]
        return {axis: picked[axis] for axis in self.axes}

    def _words(self, values: Mapping[str, str]) -> tuple[str, ...]:
        line = _AXIS.sub(lambda match: values[match[1]], self.argv)
        try:
            return tuple(shlex.split(line))
        except ValueError as error:
            raise UsageError(f"the command line {line!r} cannot be split into words: {error}") from error
