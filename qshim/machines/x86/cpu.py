"""-cpu: which model, and what of it the board needs to know (spec/x86-boards.md 1.4, 1.5, 7)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from qshim.argv.opts import split
from qshim.machines.errors import MachineError
from qshim.qom.types import target_types

__all__ = ["CpuModel", "cpu_model", "default_model"]

_PATH = Path(__file__).parents[2] / "data" / "cpus.json.xz"
_AMD = "AuthenticAMD"


@dataclass(frozen=True, slots=True)
class CpuModel:
    """A CPU model with the features that were asked for."""

    name: str
    type_name: str
    amd: bool
    long_mode: bool
    apic: bool
    x2apic: bool
    phys_bits: int
    """Width of physical addresses under TCG."""


@cache
def _models(label: str) -> Mapping[str, Mapping[str, Any]]:
    import json
    import lzma

    found: Mapping[str, Mapping[str, Any]] = json.loads(lzma.decompress(_PATH.read_bytes()))[label]
    return found


def default_model(board: str, target: str) -> str:
    """The model of a board without -cpu."""
    if board == "isapc":
        return "486"
    return "qemu64" if target == "x86_64" else "qemu32"


def cpu_model(label: str, target: str, text: str, *, limit_phys_bits: bool) -> CpuModel:
    """What `-cpu TEXT` means; *limit_phys_bits*: more than 52 is refused.

    :raises MachineError: QEMU refuses it.
    """
    members = split(text)
    name = members[0][0]
    known = _models(label)
    suffix = f"-{target}-cpu"
    if name not in known and name.endswith(suffix):
        name = name.removesuffix(suffix)
    facts = known.get(name)
    if facts is None:
        raise MachineError(f"unable to find CPU model '{name}'")
    if name == "host":
        raise MachineError("CPU model 'host' requires KVM or HVF")
    type_name = str(facts["type"]).replace("-x86_64-cpu", suffix)
    has = set(facts.get("has", ()))
    vendor = facts.get("vendor")
    given = _features(label, target, type_name, members[1:])
    for feature in ("lm", "pse36", "apic", "x2apic"):
        if feature in given:
            (has.add if given[feature] in ("on", "true", "yes", "y") else has.discard)(feature)
    vendor = given.get("vendor", vendor)
    # the emulator of 32 bits has no long mode, whatever the model has
    long_mode = "lm" in has and target == "x86_64"
    if long_mode:
        bits = int(given.get("phys-bits", "0"), 0) or 40
        if not 32 <= bits <= 52 and limit_phys_bits:
            raise MachineError(f"phys-bits should be between 32 and 52  (but is {bits})")
        if bits < 32:
            raise MachineError(f"phys-bits should be at least 32 (but is {bits})")
    else:
        if int(given.get("phys-bits", "0"), 0):
            raise MachineError("phys-bits is not user-configurable in 32 bit")
        bits = 36 if "pse36" in has or (name == "qemu32" and label != "7.2") else 32
    return CpuModel(name, type_name, vendor == _AMD, long_mode, "apic" in has, "x2apic" in has, bits)


def _features(label: str, target: str, type_name: str, members: list[tuple[str, str | None]]) -> dict[str, str]:
    """Feature -> text; `+f` and `-f` count after all others."""
    given: dict[str, str] = {}
    late: dict[str, str] = {}
    for key, value in members:
        if value is None and key[:1] in "+-":
            late[key[1:].replace("_", "-")] = "on" if key[0] == "+" else "off"
        elif key:
            given[key.replace("_", "-")] = "on" if value is None else value
    given.update(late)
    if not given:
        return given
    types = target_types(label, target)
    told = None if types is None else types.properties(type_name)
    if isinstance(told, list):
        names = {row["name"] for row in told}
        for key, value in given.items():
            if key not in names and key.replace("-", "_") not in names:
                raise MachineError(
                    f"can't apply global {type_name}.{key}={value}: Property '{type_name}.{key}' not found"
                )
    return given
