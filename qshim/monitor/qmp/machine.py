"""QMP commands about what the machine consists of: CPUs, machine types, memory devices, PCI, texts.

What no part of the model knows is answered from the recording, in the shape of the version that is
spoken; what the recording lacks is said to be missing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from qshim.errors import QshimError
from qshim.monitor.hmp.memory import ramblock_text
from qshim.monitor.qmp.extensions import schema_for
from qshim.monitor.qmp.table import QMP
from qshim.monitor.registry import CommandError

if TYPE_CHECKING:
    from qshim.monitor.registry import Handler
    from qshim.vm import Vm

__all__ = [
    "balloon", "query_accelerators", "query_balloon", "query_cpu_model_expansion", "query_cpus_fast", "query_kvm",
    "query_machines", "query_mice", "query_sgx", "query_sgx_capabilities",
    "query_stats", "recorded", "screendump", "types_of",
    "x_query_ramblock",
]  # fmt: skip

Arguments = Mapping[str, object]

_DISPLAYS = ("VGA", "vga", "qxl", "display", "ramfb", "-svga", "gpu-pci", "gpu-device", "gpu-gl-pci", "isa-cirrus-vga")
_NOTHING: Mapping[str, object] = {
    "query-current-machine": {"wakeup-suspend-support": False},
    "query-cpus-fast": [],
    "query-memory-devices": [],
    "query-memory-size-summary": {"base-memory": 0, "plugged-memory": 0},
    "query-block": [],
    "query-pci": [],
    "x-query-numa": {"human-readable-text": "0 nodes\n"},
    "x-query-roms": {"human-readable-text": ""},
}
"""What a machine without anything answers, where there is no recording."""


def types_of(vm: Vm) -> frozenset[str]:
    """The type names of all objects of the tree."""
    vm.build()
    root = vm.qom
    return frozenset() if root is None else vm.kept("types", lambda: frozenset(o.type_name for o in root.walk()))


def recorded(vm: Vm, command: str) -> Any:
    """What the real QEMU answered to *command*, members in the order of its schema.

    :raises CommandError: with its own words where it refused, else because nobody knows.
    """
    vm.build()
    if command in vm.answers:
        try:
            return schema_for(vm).shaped(command, vm.answers[command]())
        except QshimError as error:
            raise CommandError(str(error)) from error
    recording = vm.recording
    if recording is None:
        if command in _NOTHING:
            return _NOTHING[command]
        raise CommandError(f"{command} is not modelled by qshim for this machine")
    if command in recording.qmp:
        return schema_for(vm).shaped(command, recording.qmp[command])
    if command in recording.skipped and not recording.skipped[command].startswith("no answer"):
        raise CommandError(recording.skipped[command])
    raise CommandError(f"{command} is not in the recording of this machine")


def _from_recording(command: str) -> Handler:
    return lambda vm, arguments: recorded(vm, command)


for _command in (
    "query-current-machine", "query-hotpluggable-cpus", "query-memory-devices", "query-memory-size-summary",
    "query-block", "query-pci", "x-query-numa", "x-query-roms",
):  # fmt: skip
    QMP.command(_command)(_from_recording(_command))


@QMP.command("query-kvm")
def query_kvm(vm: Vm, arguments: Arguments) -> object:
    """Whether KVM runs the guest, and whether the binary has it."""
    recording = vm.recording
    told = vm.recorded("query-kvm")
    present = told["present"] if isinstance(told, dict) else schema_for(vm).idle["query-kvm"]["return"]["present"]
    return {"enabled": recording is not None and recording.kvm, "present": present}


@QMP.command("query-accelerators")
def query_accelerators(vm: Vm, arguments: Arguments) -> object:
    """Which accelerator runs the guest, and which the binary has."""
    recording = vm.recording
    present = schema_for(vm).idle["query-accelerators"]["return"]["present"]
    return {"enabled": "kvm" if recording is not None and recording.kvm else "tcg", "present": present}


@QMP.command("query-machines")
def query_machines(vm: Vm, arguments: Arguments) -> object:
    """Every machine type of the binary."""
    machines = schema_for(vm).machines
    if not arguments.get("compat-props"):
        return machines
    from qshim.qom.types import qom_types

    known = qom_types(vm.quirks.label, vm.target)
    if known is None:
        raise CommandError("query-machines with compat-props is not modelled by qshim for this target")
    return [{**machine, "compat-props": known.compat_props[machine["name"]]} for machine in machines]


@QMP.command("query-cpus-fast")
def query_cpus_fast(vm: Vm, arguments: Arguments) -> object:
    """The CPUs; their threads are all this process."""
    return [{**cpu, "thread-id": os.getpid()} for cpu in recorded(vm, "query-cpus-fast")]


@QMP.command("query-balloon")
def query_balloon(vm: Vm, arguments: Arguments) -> object:
    """How much memory the balloon leaves."""
    _need_no_balloon(vm, "query-balloon")
    return {}


@QMP.command("balloon")
def balloon(vm: Vm, arguments: Arguments) -> object:
    """Ask the guest to give memory back."""
    _need_no_balloon(vm, "balloon")
    return {}


def _need_no_balloon(vm: Vm, command: str) -> None:
    if "virtio-balloon-device" in types_of(vm):
        raise CommandError(f"{command} is not modelled by qshim for a machine with a balloon: its guest would answer")
    raise CommandError("No balloon device has been activated", "DeviceNotActive")


@QMP.command("query-mice")
def query_mice(vm: Vm, arguments: Arguments) -> object:
    """Pointing devices."""
    types = types_of(vm)
    if types & {"usb-mouse", "usb-tablet", "virtio-mouse-device", "virtio-tablet-device", "adb-mouse"}:
        raise CommandError("query-mice is not modelled by qshim for this machine")
    mouse = {"name": "QEMU PS/2 Mouse", "index": 2, "current": True, "absolute": False}
    return [mouse] if "i8042" in types else []


@QMP.command("query-sgx")
def query_sgx(vm: Vm, arguments: Arguments) -> object:
    """No machine here has enclave memory."""
    if "sgx-epc" in types_of(vm):
        raise CommandError("query-sgx is not modelled by qshim for this machine")
    if vm.machine.startswith("pc-"):
        raise CommandError("No EPC regions defined, SGX not available")
    reply = schema_for(vm).idle["query-sgx"]
    raise CommandError(reply["error"]["desc"], reply["error"]["class"])


@QMP.command("query-sgx-capabilities")
def query_sgx_capabilities(vm: Vm, arguments: Arguments) -> object:
    """Enclaves that the host could give: qshim never asks it for any."""
    raise CommandError(vm.quirks.no_enclaves)


@QMP.command("x-query-ramblock")
def x_query_ramblock(vm: Vm, arguments: Arguments) -> object:
    """The text of `info ramblock`, with plain line ends."""
    return {"human-readable-text": vm.kept("ramblock", lambda: ramblock_text(vm))}


@QMP.command("query-cpu-model-expansion")
def query_cpu_model_expansion(vm: Vm, arguments: Arguments) -> object:
    """qshim knows the names of CPU models, not their features."""
    model: Any = arguments["model"]
    definitions = schema_for(vm).idle["query-cpu-definitions"].get("return", ())
    if definitions and all(each["name"] != model["name"] for each in definitions):
        raise CommandError(f"CPU model '{model['name']}' not found")
    raise CommandError("query-cpu-model-expansion is not modelled by qshim")


@QMP.command("screendump")
def screendump(vm: Vm, arguments: Arguments) -> object:
    """No display is drawn; on a PC without one QEMU says so, too."""
    if not vm.machine.startswith("pc-") or any(t.endswith(_DISPLAYS) for t in types_of(vm)):
        raise CommandError("screendump is not modelled by qshim")
    raise CommandError("There is no console to take a screendump from")


@QMP.command("query-stats")
def query_stats(vm: Vm, arguments: Arguments) -> object:
    """Nothing is counted: the providers are KVM and crypto devices."""
    recording = vm.recording
    if recording is not None and recording.kvm:
        raise CommandError("query-stats is not modelled by qshim for this machine")
    return []
