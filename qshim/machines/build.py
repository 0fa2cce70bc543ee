"""From a command line to a machine of a modelled board."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from types import MappingProxyType

from qshim.argv import CommandLine, OptionError
from qshim.argv.dialect import option_help
from qshim.argv.plan import MachinePlan, machine_plan
from qshim.machines.machine import Machine, Request
from qshim.versions import Quirks

__all__ = ["board_of", "build", "check_supported"]



def board_of(name: str, target: str = "x86_64") -> type[Machine] | None:
    """The model of machine type *name* (no alias) of *target*, None where there is none.

    Only the board that is asked for is imported: whoever starts a machine waits for it.
    """
    if name == "none":
        from qshim.machines.none import NoneMachine

        return NoneMachine
    if target in ("aarch64", "arm") and name.startswith("virt-"):
        from qshim.machines.arm.virt import ArmVirt

        return ArmVirt
    if target in ("riscv64", "riscv32") and name == "virt":
        from qshim.machines.riscv.virt import RiscvVirt

        return RiscvVirt
    if target not in ("x86_64", "i386"):
        return None
    if name.startswith("pc-i440fx-"):
        from qshim.machines.x86.pc import PcI440fx

        return PcI440fx
    if name.startswith("pc-q35-"):
        from qshim.machines.x86.q35 import PcQ35

        return PcQ35
    if name == "isapc":
        from qshim.machines.x86.isapc import IsaPc

        return IsaPc
    if name == "microvm":
        from qshim.machines.x86.microvm import MicroVm

        return MicroVm
    return None



def build(
    line: CommandLine,
    name: str,
    quirks: Quirks,
    target: str,
    *,
    firmware: Callable[[str], bytes | None],
    open_image: Callable[[str], bytes],
    may_write: Callable[[str], str | None] = lambda path: None,
    unreadable: Callable[[str], str | None] = lambda path: None,
) -> Machine:
    """The machine of type *name* that *line* asks for; with -preconfig only as far as it goes before that.

    *firmware* and *open_image* return the bytes of files, *may_write* and *unreadable* why a file may not be
    written or cannot be read, None if nothing is in the way.

    :raises MachineError, OptionError, DeviceError: QEMU does not start it, in its words.
    """
    made = board_of(name, target)
    assert made is not None
    help_text = option_help(quirks.label, target).get("-M help", (0, ""))[1]
    deprecated = any(
        row.split(None, 1)[0] == name and "(deprecated)" in row for row in help_text.splitlines()[1:] if row.split()
    )
    plan = machine_plan(line)
    check_supported(plan, unreadable, made.boot_files, appended=bool(line.append))
    request = Request(
        line, plan, quirks, target, name, firmware, open_image, may_write,
        deprecated=deprecated,
    )  # fmt: skip
    machine = made(request)
    if not line.preconfig:
        return machine.make()
    machine.begin()
    machine.read_cpu()
    return machine


_CHANGES = {
    "kernel": "qshim loads no kernel", "initrd": "qshim loads no kernel", "dtb": "qshim loads no kernel",
    "acpitable": "qshim makes no ACPI tables", "option-rom": "qshim loads no option ROMs",
    "sd": "qshim has no SD card", "mtdblock": "qshim has no such flash", "virtfs": "qshim has no 9p file system",
    "usbdevice": "qshim has no USB devices of this kind", "tpmdev": "qshim has no TPM",
}  # fmt: skip


def check_supported(
    plan: MachinePlan, unreadable: Callable[[str], str | None], boot_files: Mapping[str, str] = MappingProxyType({}),
    *, appended: bool = False,
) -> None:  # fmt: skip
    """What would change the machine and is not modelled; *unreadable* says why a file cannot be opened.

    *boot_files*: options whose files change nothing that is shown; *appended*: there is a -append.

    :raises OptionError: somebody asks for it.
    """
    if plan.kernel is None and any(option == "initrd" for option, _ in plan.others):
        raise OptionError("-initrd only allowed with -kernel option")
    if plan.kernel is None and appended:
        raise OptionError("-append only allowed with -kernel option")
    if plan.kernel is not None and "kernel" not in boot_files:
        reason = unreadable(plan.kernel)
        if reason is not None:
            raise OptionError(f"qemu: could not open kernel file '{plan.kernel}': {reason}")
        raise OptionError(f"-kernel {plan.kernel}: {_CHANGES['kernel']}")
    for option, value in plan.others:
        if option in _CHANGES and option not in boot_files:
            raise OptionError(f"-{option} {value}: {_CHANGES[option]}")
    units: set[str] = set()
    for drive in plan.drives:
        if drive.values.get("if") == "pflash":
            index = drive.values.get("index", "-1")
            unit = drive.values.get("unit", index if index != "-1" else _free(units))
            if unit in units:
                raise OptionError(f"{drive.where}: drive with bus=0, unit={unit} (index={index}) exists")
            units.add(unit)
        path = drive.values.get("file")
        reason = None if path is None or ":" in path else unreadable(path)
        if reason is not None:
            raise OptionError(f"{drive.where}: Could not open '{path}': {reason}")
        if drive.values.get("if") not in ("pflash", "none"):
            raise OptionError(f"{drive.where}: qshim has no disks; it takes if=pflash and if=none")


def _free(units: Container[str]) -> str:
    """The first unit that no drive has taken."""
    return next(str(number) for number in range(256) if str(number) not in units)
