"""What a modelled machine answers to QMP's questions about its CPUs, NUMA nodes and memory devices."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from qshim.devices.chipset.cpu import Cpu
from qshim.machines.errors import MachineError
from qshim.machines.machine import Machine

__all__ = ["answers", "memory_devices", "numa_text"]

_MIB = 1 << 20
_WITHOUT_MEMORY_DEVICES = ("riscv32", "riscv64")
"""Targets whose QEMU has no memory devices at all."""


def answers(machine: Machine) -> Mapping[str, Callable[[], object]]:
    """QMP command -> what makes its answer."""
    return {
        "query-current-machine": lambda: {"wakeup-suspend-support": _wakes_up(machine)},
        "query-cpus-fast": lambda: _cpus_fast(machine),
        "query-hotpluggable-cpus": lambda: _hotpluggable(machine),
        "query-memory-devices": lambda: memory_devices(machine),
        "query-memory-size-summary": lambda: _size_summary(machine),
        "x-query-numa": lambda: {"human-readable-text": numa_text(machine)},
        "query-block": list,
    }


def _wakes_up(machine: Machine) -> bool:
    """ACPI lets the guest sleep."""
    return machine.has_acpi and machine.family in ("pc", "q35")


def _present(machine: Machine) -> list[Cpu]:
    """The CPUs that are there, by index."""
    cpus = [device for device in machine.board.devices if isinstance(device, Cpu)]
    return sorted(cpus, key=lambda cpu: cpu.index)


def _place_of(machine: Machine, index: int) -> dict[str, int]:
    """Members of CpuInstanceProperties of CPU *index*."""
    place, smp = machine.cpu_place(index), machine.smp
    props: dict[str, int] = {}
    if index in machine.numa.of_cpu:
        props["node-id"] = machine.numa.of_cpu[index]
    told = {"die": smp.dies > 1, "module": smp.modules > 1}
    for level in ("socket", "die", "cluster", "module", "core", "thread"):
        if level in machine.levels and told.get(level, True):
            props[f"{level}-id"] = place[level]
    return props


def _cpus_fast(machine: Machine) -> list[dict[str, object]]:
    """query-cpus-fast, without thread ids."""
    rows = []
    # as they came
    for cpu in [device for device in machine.board.devices if isinstance(device, Cpu)]:
        row: dict[str, object] = {"cpu-index": cpu.index, "qom-path": cpu.path, "thread-id": 0}
        if machine.has_cpu_places:
            row["props"] = _place_of(machine, cpu.index)
        row["target"] = machine.request.target
        if machine.quirks.cpus_show_model:
            row["qom-type"] = cpu.type_name
        rows.append(row)
    return rows


def _hotpluggable(machine: Machine) -> list[dict[str, object]]:
    """query-hotpluggable-cpus: the highest place first.

    :raises MachineError: the board has no CPU hot-plug.
    """
    if not machine.hotplug_cpus:
        raise MachineError(machine.quirks.no_cpu_hotplug)
    there = {cpu.index: cpu for cpu in _present(machine)}
    rows = []
    for index in reversed(range(machine.smp.max_cpus)):
        row: dict[str, object] = {
            "props": _place_of(machine, index), "vcpus-count": 1, "type": machine.cpu_type,
        }  # fmt: skip
        if index in there:
            row["qom-path"] = there[index].path
        rows.append(row)
    return rows


def memory_devices(machine: Machine) -> list[dict[str, object]]:
    """query-memory-devices, by address."""
    found = []
    for device in machine.board.devices:
        told = getattr(device, "told", None)
        if told is not None:
            found.append((getattr(device, "addr", 0), told()))
    return [row for _, row in sorted(found, key=lambda pair: pair[0])]


def _plugged(machine: Machine) -> list[tuple[int, int]]:
    """(NUMA node, bytes) of each memory device."""
    return [
        (getattr(device, "node", 0), getattr(device, "plugged_size", getattr(device, "size", 0)))
        for device in machine.board.devices
        if getattr(device, "told", None) is not None
    ]


def _size_summary(machine: Machine) -> dict[str, object]:
    """query-memory-size-summary."""
    told: dict[str, object] = {"base-memory": machine.ram_size}
    if machine.request.target not in _WITHOUT_MEMORY_DEVICES:
        told["plugged-memory"] = sum(size for _, size in _plugged(machine))
    return told


def numa_text(machine: Machine) -> str:
    """`info numa`."""
    numa = machine.numa
    text = f"{numa.count} nodes\n"
    added = _plugged(machine)
    for number in sorted(numa.nodes):
        cpus = [cpu.index for cpu in _present(machine) if numa.of_cpu.get(cpu.index, 0) == number]
        extra = sum(size for node, size in added if node == number)
        text += f"node {number} cpus:{''.join(f' {index}' for index in cpus)}\n"
        text += f"node {number} size: {(numa.nodes[number].memory + extra) // _MIB} MB\n"
        text += f"node {number} plugged: {extra // _MIB} MB\n"
    return text
