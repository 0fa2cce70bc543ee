"""The machine that a QEMU command line names: one of the recordings that come with qshim, at the options it has.

A recording is one machine: what the command line asks for besides must be what the recording has anyway,
or change nothing that a monitor shows. Anything else is refused in one sentence, or in QEMU's words
where QEMU would refuse it, too.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from qshim.argv import CommandLine, OptionError
from qshim.argv.dialect import DIALECTS, option_help
from qshim.cli import recordings
from qshim.errors import RecordingError

if TYPE_CHECKING:
    from qshim.recording.format import Recording
    from qshim.vm import Vm

__all__ = ["SAME_MEMORY", "TARGETS", "find", "machine", "type_named"]

TARGETS = ("x86_64", "i386", "aarch64", "arm", "riscv64", "riscv32")

SAME_MEMORY = {"arm": "aarch64"}
"""A target whose machines are those of another one, down to the types of their CPUs (seen in 7.2 and 10.0)."""

_DATA = Path(__file__).parents[1] / "data" / "drop-in"
_HINT = "\nUse -machine help to list supported machines"
_HARMLESS = frozenset({"accel", "dump-guest-core", "mem-merge", "suppress-vmdesc", "usb", "kernel-irqchip", "hpet",
                       "graphics", "dump_guest_core"})  # fmt: skip
"""Properties of machines that change nothing which is shown, or that may only say what is so anyway (`_AS_IT_IS`)."""
_AS_IT_IS = {"usb": "off", "graphics": "on", "hpet": "on"}


def machine(line: CommandLine, target: str, label: str, *, later: bool = True, put_off: bool = False) -> Vm:
    """The machine of *line*, in the state that it starts in; *later*: see `Vm.from_recording`.

    *put_off*: a modelled board is made by `Vm.build`, which then says what QEMU refuses.

    :raises OptionError: it is not to be had.
    """
    from dataclasses import replace

    from qshim.vm import Vm

    name = type_named(line, target, label)
    from qshim.cli.modelled import is_modelled, modelled

    if is_modelled(name, target):
        _check_accelerator(line)
        vm = modelled(line, name, target, label, later=put_off, same=lambda: _matching(line, target, label))
        if not line.stopped:
            vm.cont()
        return vm
    recording = find(line, target, label)
    if recording.target != target:
        recording = replace(recording, target=target, qmp={**recording.qmp, "query-target": {"arch": target}})
    vm = Vm.from_recording(recording, later=later)
    vm.starts = not line.stopped
    if line.preconfig:
        vm.preconfig = vm.build
    vm.name = line.name or vm.name
    vm.uuid = line.uuid or vm.uuid
    vm.actions.update(line.actions)
    if not line.stopped:
        vm.cont()
    return vm


def _matching(line: CommandLine, target: str, label: str) -> Recording | None:
    """The recording of exactly this machine, for what nobody models; None where there is none."""
    try:
        return find(line, target, label)
    except (OptionError, RecordingError):
        return None


def find(line: CommandLine, target: str, label: str) -> Recording:
    """The recording of the machine that *line* asks for.

    :raises OptionError: there is no such machine, or none with these options.
    """
    name = type_named(line, target, label)
    _check_accelerator(line)
    recording = _recording(line, name, target, label)
    _check(line, name, recording, label, target)
    return recording


def type_named(line: CommandLine, target: str, label: str) -> str:
    """The machine type that *line* asks for, an alias resolved.

    :raises OptionError: there is no such type.
    """
    known = _types(label, target)
    asked = line.machine or next((name for name, told in known.items() if told.endswith("(default)")), None)
    if asked is None:
        raise OptionError(f"No machine specified, and there is no default{_HINT}")
    if asked not in known:
        quoted = f': "{asked}"' if DIALECTS[label].machine_quoted else ""
        raise OptionError(f"unsupported machine type{quoted}{_HINT}")
    if "(alias of " in known[asked]:
        return known[asked].partition("(alias of ")[2].partition(")")[0]
    return asked


def _types(label: str, target: str) -> dict[str, str]:
    """Machine type -> its description, from what -M help printed."""
    answer = option_help(label, target).get("-M help")
    if answer is None:
        raise OptionError(f"qshim has no QEMU {label} for {target}")
    rows = (row.split(None, 1) for row in answer[1].splitlines()[1:])
    return {row[0]: row[-1] for row in rows if row}


def _recording(line: CommandLine, name: str, target: str, label: str) -> Recording:
    from qshim.recording.format import load

    bare = line.nodefaults and name != "none"
    own = _DATA / label / target / f"{name}{'.nodefaults' if bare else ''}.qrec.xz"
    if own.exists():
        return load(own)
    if not bare:
        try:
            return recordings.find(f"{label}/{SAME_MEMORY.get(target, target)}/{name}")
        except RecordingError as error:
            if "does not start" in str(error):
                raise OptionError(str(error).rpartition(": ")[2]) from None
    options = f"-M {name}{' -nodefaults' if bare else ''}"
    raise OptionError(f"qshim comes with no recording of QEMU {label} for {target} with {options}")


def _check_accelerator(line: CommandLine) -> None:
    if not line.accelerators or not {"tcg", "qtest"}.isdisjoint(line.accelerators):
        for name in line.accelerators:
            if name not in ("tcg", "kvm", "qtest"):
                raise OptionError(f"invalid accelerator {name}")
        return
    name = line.accelerators[0]
    if name == "kvm":
        raise OptionError("qshim runs no guest and has no KVM; it takes -accel tcg")
    raise OptionError(f"invalid accelerator {name}")


def _check(line: CommandLine, name: str, recording: Recording, label: str, target: str) -> None:
    for key, value in line.machine_properties:
        if key not in _HARMLESS or _AS_IT_IS.get(key, value) != value:
            raise OptionError(f"qshim serves {name} as recorded and cannot set {key}={value}")
        if key in ("mem-merge", "dump-guest-core", "usb") and value not in ("on", "off"):
            raise OptionError(f"Parameter '{key}' expects 'on' or 'off'")
    recorded = recording.qmp.get("query-memory-size-summary")
    base = recorded.get("base-memory") if isinstance(recorded, dict) else None
    if line.memory is not None and line.memory != base:
        has = f"{base >> 20} MiB" if isinstance(base, int) else "none"
        raise OptionError(f"qshim serves {name} as recorded, with {has} of RAM, not {line.memory} bytes")
    if line.cpu is not None:
        _check_cpu(line.cpu, name, recording, label, target)
    if line.layout:
        _check_disk(line.layout[0])
        raise OptionError(f"{line.layout[0]}: qshim serves {name} as recorded, with -M {name} alone, and adds nothing")


def _check_disk(word: str) -> None:
    """A disk image that cannot be opened is QEMU's own reason to refuse it."""
    if not word.startswith("-"):
        try:
            os.close(os.open(word, os.O_RDONLY))
        except OSError as error:
            raise OptionError(f"{word}: Could not open '{word}': {error.strerror}") from None


def _check_cpu(cpu: str, name: str, recording: Recording, label: str, target: str) -> None:
    model = cpu.partition(",")[0]
    listed = {word for row in option_help(label, target)["-cpu help"][1].splitlines() for word in row.split()[:2]}
    if model == "host":
        raise OptionError("CPU model 'host' requires KVM or HVF")
    if model not in listed:
        raise OptionError(f"unable to find CPU model '{model}'")
    types = recording.qmp.get("query-machines")
    default = types[0].get("default-cpu-type", "") if isinstance(types, list) and types else ""
    if cpu != model or not str(default).startswith(f"{model}-"):
        raise OptionError(f"-cpu {cpu}: qshim serves {name} as recorded, with the CPU {default}")
