"""Properties of /machine that its command line and its kind decide (asked of 7.2, 10.0 and 11.1).

What a recording's command line sets is not here, but for what nobody set the values are known: those that
every machine begins with, and those of PCs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from qshim.monitor.registry import CommandError

if TYPE_CHECKING:
    from qshim.vm import Vm

__all__ = ["MISSING", "machine_property", "set_machine_property"]

MISSING = object()
"""Nobody knows."""

_EVERY: Mapping[str, object] = {
    "suppress-vmdesc": False, "dump-guest-core": True, "mem-merge": True, "kernel": "", "append": "", "initrd": "",
    "dtb": "", "dumpdtb": "", "dt-compatible": "", "phandle-start": 0, "memory-encryption": "",
    "confidential-guest-support": "",
}  # fmt: skip
_PC: Mapping[str, object] = {
    "smm": "auto", "boot": {"order": "cad"}, "acpi": "auto", "pit": "auto", "hpet": True, "smbus": True, "sata": True,
    "i8042": True, "nvdimm": False,
}  # fmt: skip
_SWITCHES = ("suppress-vmdesc", "dump-guest-core", "mem-merge")
"""What may be set at any time, and concerns the host or a migration alone."""
_OPTIONS = {"kernel": "kernel", "append": "append", "initrd": "initrd", "dtb": "dtb", "boot": "boot"}

_SET: WeakKeyDictionary[Vm, dict[str, bool]] = WeakKeyDictionary()


def machine_property(vm: Vm, argv: Sequence[str], name: str) -> object:
    """The value of *name* on a machine of the command line *argv*; `MISSING` where nobody knows."""
    kept = _SET.get(vm, {})
    if name in kept:
        return kept[name]
    if any(f"{name}=" in word for word in argv) or f"-{_OPTIONS.get(name, name)}" in argv:
        return MISSING
    if name == "smp" and vm.cpus <= 1:
        return dict.fromkeys(vm.quirks.smp_members, 1)
    if vm.machine.startswith("pc-") and name in _PC:
        return _PC[name]
    return _EVERY.get(name, MISSING)


def set_machine_property(vm: Vm, name: str, value: object) -> bool:
    """Set a switch; False for anything else.

    :raises CommandError: the value is none for a switch.
    """
    if name not in _SWITCHES:
        return False
    if not isinstance(value, bool):
        raise CommandError(f"Invalid parameter type for '{name}', expected: boolean")
    _SET.setdefault(vm, {})[name] = value
    return True
