"""-cpu of the virt board: which models it takes, and how far they reach (spec/virt-boards.md 3.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from qshim.argv.dialect import option_help
from qshim.argv.opts import split
from qshim.machines.errors import MachineError
from qshim.machines.virt_parts import check_features
from qshim.qom.types import QomTypes
from qshim.versions.virt import virt_quirks

__all__ = ["ArmCpuModel", "arm_cpu", "check_valid"]

DEFAULT = "cortex-a15"
_WIDE = {"cortex-a57": 44, "cortex-a72": 44, "neoverse-n1": 48, "neoverse-v1": 48, "neoverse-n2": 48}
"""Bits of physical addresses, where they are not 40."""
_TAGGED = ("cortex-a710", "neoverse-n2")
"""Models with memory tagging besides max."""
_ONLY_64 = ("cortex-a76", "cortex-a710", "a64fx", "neoverse-n1", "neoverse-v1", "neoverse-n2")
"""Models whose kernels cannot be of 32 bits."""
_OFF = ("off", "no", "false", "n")
_SMALL = ("cortex-a7", "cortex-a15")
_OLD = ("cortex-a7", "cortex-a15", "cortex-a35", "cortex-a53", "cortex-a55", "cortex-a57", "cortex-a72", "cortex-a76",
        "a64fx", "neoverse-n1", "max")  # fmt: skip
_NEW = ("cortex-a7", "cortex-a15", "cortex-a35", "cortex-a55", "cortex-a72", "cortex-a76", "cortex-a710", "a64fx",
        "neoverse-n1", "neoverse-v1", "neoverse-n2", "cortex-a53", "cortex-a57", "max")  # fmt: skip
"""In the order in which QEMU names them."""
_WITHOUT_TCG = ("cortex-a53", "cortex-a57", "max")
"""Those that are there for other accelerators, too."""


@dataclass(frozen=True, slots=True)
class ArmCpuModel:
    """A CPU model."""

    name: str
    type_name: str
    bits: int
    """Width of physical addresses."""
    is_64: bool
    """It starts in AArch64."""
    tags: bool
    """It has memory tagging."""
    nmi: bool
    """It has interrupts that cannot be masked."""
    el3: bool = True
    """It has a secure world, unless it was told to do without."""
    fault: MachineError | None = None
    """What is wrong with its features, which QEMU sees when it makes one."""


def arm_cpu(text: str | None, target: str, label: str, types: QomTypes | None) -> ArmCpuModel:
    """What `-cpu TEXT` means (None: the default).

    :raises MachineError: QEMU refuses it.
    """
    quirks = virt_quirks(label)
    if text == "":
        raise MachineError("-cpu option cannot be empty")
    members = split(text or DEFAULT)
    name = members[0][0]
    listed = option_help(label, target).get("-cpu help", (0, ""))[1].split()
    name = name.removesuffix("-arm-cpu")
    if name not in listed:
        raise MachineError(f"unable to find CPU model '{name}'")
    type_name = f"{name}-arm-cpu"
    given = {key: "on" if value is None else value for key, value in members[1:] if key}
    fault = None
    try:
        _check_features(type_name, given, types, aarch32=quirks.tcg_runs_aarch32)
    except MachineError as error:
        fault = error
    is_64 = target == "aarch64" and name not in _SMALL and given.get("aarch64") not in _OFF
    bits = _WIDE.get(name, 40)
    if name == "max" and given.get("aarch64") not in _OFF:
        bits = 52 if target == "aarch64" else quirks.arm_max_bits
    el3 = given.get("has_el3") not in _OFF
    newest = name == "max" and target == "aarch64"
    return ArmCpuModel(name, type_name, bits, is_64, tags=newest or name in _TAGGED, nmi=newest, el3=el3, fault=fault)


def check_valid(model: ArmCpuModel, target: str, label: str, *, emulated: bool = True) -> None:
    """Whether the virt board takes *model*, which QEMU looks at once memory and nodes are known.

    *emulated*: it would run under TCG, not be driven by a qtest.

    :raises MachineError: it does not.
    """
    quirks = virt_quirks(label)
    listed = option_help(label, target).get("-cpu help", (0, ""))[1].split()
    valid = [known for known in (_NEW if quirks.valid_cpus_are_listed else _OLD) if known in listed]
    if not emulated:
        valid = [known for known in valid if known in _WITHOUT_TCG]
    if model.name == "host":
        raise MachineError("CPU model 'host' requires KVM or HVF")
    if model.name not in valid:
        if quirks.valid_cpus_are_listed:
            raise MachineError(f"Invalid CPU model: {model.name}", f"The valid models are: {', '.join(valid)}")
        raise MachineError(f"mach-virt: CPU type {model.type_name} not supported")
    if model.fault is not None:
        raise model.fault


def _check_features(
    type_name: str, given: Mapping[str, str], types: QomTypes | None, *, aarch32: bool
) -> None:
    """Whether the type takes the features *given*; *aarch32*: a 64-bit CPU may do without AArch64.

    :raises MachineError: the type has no such feature, or it cannot be without it.
    """
    check_features(type_name, given, types)
    reason = "unless KVM is enabled and 32-bit EL1 is supported"
    if aarch32:
        reason = (
            "for this TCG CPU because it does not support 32-bit execution at its highest implemented exception level"
        )
    small = type_name.removesuffix("-arm-cpu")
    if given.get("aarch64") in _OFF and not (aarch32 and small not in _ONLY_64):
        raise MachineError(
            f"can't apply global {type_name}.aarch64={given['aarch64']}: 'aarch64' feature cannot be disabled {reason}"
        )
