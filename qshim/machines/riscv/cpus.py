"""-cpu of the RISC-V virt board: which models there are, and what their features take."""

from __future__ import annotations

from qshim.argv.dialect import option_help
from qshim.argv.opts import split
from qshim.machines.errors import MachineError
from qshim.versions.riscv import riscv_quirks

__all__ = ["check_width", "cpu_features", "has_hypervisor", "has_supervisor", "is_wide", "riscv_cpu"]

_DEFAULTS = {"riscv64": "rv64", "riscv32": "rv32"}
_NARROW = ("lowrisc-ibex", "max32", "rv32", "sifive-e31", "sifive-e34", "sifive-u34")
"""What models of 32 bits are called, or begin with."""
_MACHINE_ONLY = ("any", "lowrisc-ibex", "rv32e", "rv32i", "rv64e", "rv64i", "rva22u64", "rva23u64", "sifive-e")
"""What models without supervisor mode are called, or begin with."""
_HYPERVISORS = ("max", "max32", "rv32", "rv64", "rva23s64", "tt-ascalon", "veyron-v1", "x-rv128", "xiangshan-kunminghu")
_SUFFIX = "-riscv-cpu"


def riscv_cpu(text: str | None, target: str, label: str) -> str:
    """The QOM type that `-cpu TEXT` means (None: the default).

    :raises MachineError: QEMU refuses it.
    """
    if text == "":
        raise MachineError("-cpu option cannot be empty")
    members = split(text or _DEFAULTS[target])
    name = members[0][0].removesuffix(_SUFFIX)
    if name not in option_help(label, target).get("-cpu help", (0, ""))[1].split():
        raise MachineError(f"unable to find CPU model '{name}'")
    return name + _SUFFIX


def cpu_features(text: str | None) -> dict[str, str]:
    """Feature -> value of `-cpu TEXT`; one without a value is switched on."""
    return {key: "on" if value is None else value for key, value in split(text or "")[1:] if key}


def is_wide(type_name: str, target: str) -> bool:
    """Whether harts of *type_name* have 64 bits."""
    return target == "riscv64" and not type_name.startswith(_NARROW)


def has_supervisor(type_name: str) -> bool:
    """Whether harts of *type_name* have supervisor mode (hart-config of the PLIC, all models of three releases)."""
    return not type_name.startswith(_MACHINE_ONLY)


def has_hypervisor(type_name: str, text: str | None) -> bool:
    """Whether harts of *type_name*, which `-cpu TEXT` asked for, have the extension for hypervisors (11.1)."""
    asked = cpu_features(text).get("h")
    if asked is not None:
        return asked not in ("off", "no", "false", "n")
    return type_name.removesuffix(_SUFFIX) in _HYPERVISORS


def check_width(type_name: str, label: str) -> None:
    """Whether a hart of *type_name* can be had.

    :raises MachineError: it is too wide for several threads.
    """
    if type_name == f"x-rv128{_SUFFIX}" and riscv_quirks(label).wide_harts_need_one_thread:
        raise MachineError(
            "128-bit RISC-V currently does not work with Multi Threaded TCG. Please use: -accel tcg,thread=single"
        )
