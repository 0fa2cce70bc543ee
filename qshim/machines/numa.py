"""-numa: nodes, their memory and CPUs (spec/x86-boards.md 1.1, monitor.md 5.6)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from qshim.argv.errors import OptionError
from qshim.argv.opts import size
from qshim.argv.plan import NumaPlan
from qshim.machines.errors import MachineError
from qshim.machines.smp import Smp
from qshim.qom import MemoryBackend
from qshim.units import MIB

__all__ = ["MOST_NODES", "Node", "Numa", "numa_of"]

MOST_NODES = 128
_NO_HMAT = (
    "ACPI Heterogeneous Memory Attribute Table (HMAT) is disabled, enable it with -machine hmat=on before using any of "
    "hmat specific options"
)
_LEVELS = ("socket", "die", "cluster", "module", "core", "thread")


@dataclass(slots=True)
class Node:
    """One NUMA node."""

    memory: int = 0
    backend: str | None = None
    present: bool = True


@dataclass(slots=True)
class Numa:
    """All nodes; *of_cpu* has the node of each CPU index that somebody assigned."""

    nodes: dict[int, Node] = field(default_factory=dict)
    of_cpu: dict[int, int] = field(default_factory=dict)
    distances: dict[tuple[int, int], int] = field(default_factory=dict)
    hmat: bool = False
    warnings: list[str] = field(default_factory=list)
    located: list[str] = field(default_factory=list)
    """Warnings with the option in front."""

    @property
    def count(self) -> int:
        """How many nodes."""
        return len(self.nodes)

    @property
    def uses_backends(self) -> bool:
        """Memory comes from backends."""
        return any(node.backend for node in self.nodes.values())


def numa_of(
    plans: Sequence[NumaPlan],
    ram: int,
    smp: Smp,
    backends: Mapping[str, MemoryBackend],
    levels: Sequence[str],
    *,
    legacy_memory: bool,
    spread: bool,
    auto_node: bool,
    place: Callable[[int], Mapping[str, int]],
    default_node: Callable[[int, int], int],
    whole: bool = True,
    tells_latencies: bool = True,
) -> Numa:
    """The nodes that *plans* describe.

    :param levels: what a CPU's place consists of on this board (`socket`, `core`, `thread` ...).
    :param legacy_memory: the machine type takes `mem=`.
    :param place: where CPU *index* sits: level -> number.
    :param default_node: the node of a CPU where none was assigned, of (its index, how many nodes).
    :param spread: nodes without memory of their own share all of it.
    :param tells_latencies: there will be a table of them (-machine hmat=on).
    :param whole: nothing will be added to *plans*.
    :param auto_node: with memory devices and without nodes, there is one.
    :raises OptionError: an option that QEMU refuses.
    :raises MachineError: all together do not fit.
    """
    numa = Numa()
    uses: str | None = None
    for plan in plans:
        if plan.kind == "node":
            uses = _node(numa, plan, backends, smp, uses, legacy_memory)
        elif plan.kind == "dist":
            _distance(numa, plan)
        elif plan.kind == "cpu":
            _cpu(numa, plan, smp, levels, place)
        else:
            if not tells_latencies:
                raise OptionError(f"{plan.where}: {_NO_HMAT}")
            numa.hmat = True
            _initiator(numa, plan)
    if not whole:
        return numa
    if not numa.nodes and auto_node:
        numa.nodes[0] = Node(ram)
        numa.of_cpu.update(dict.fromkeys(range(smp.max_cpus), 0))
        return numa
    if not numa.nodes:
        return numa
    for number in reversed(range(max(numa.nodes) + 1)):
        if number not in numa.nodes:
            raise MachineError(f"numa: Node ID missing: {number}")
    if uses is None and spread:
        _spread(numa, ram)
    total = sum(node.memory for node in numa.nodes.values())
    if total != ram:
        raise MachineError(f"total memory for NUMA nodes (0x{total:x}) should equal RAM size (0x{ram:x})")
    _check_distances(numa)
    _assign_cpus(numa, smp, levels, place, default_node)
    return numa


def _node(
    numa: Numa, plan: NumaPlan, backends: Mapping[str, MemoryBackend], smp: Smp, uses: str | None, legacy: bool
) -> str | None:
    def fail(text: str, *more: str) -> OptionError:
        return OptionError(f"{plan.where}: {text}", *more)

    values = plan.values
    number = int(values["nodeid"], 0) if "nodeid" in values else len(numa.nodes)
    if number >= MOST_NODES:
        raise fail(f"Max number of NUMA nodes reached: {number}")
    if number in numa.nodes:
        raise fail(f"Duplicate NUMA nodeid: {number}")
    if "initiator" in values and not numa.hmat and int(values["initiator"], 0) >= MOST_NODES:
        raise fail(f"The initiator id {values['initiator']} expects an integer between 0 and {MOST_NODES - 1}")
    for index in plan.cpus:
        if index >= smp.max_cpus:
            raise fail(f"CPU index ({index}) should be smaller than maxcpus ({smp.max_cpus})")
        numa.of_cpu[index] = number
    node = Node()
    for key in ("mem", "memdev"):
        if key in values and uses is not None and uses != key:
            raise fail("numa configuration should use either mem= or memdev=,mixing both is not allowed")
    if "mem" in values:
        if not legacy:
            raise OptionError(
                f"{plan.where}: Parameter -numa node,mem is not supported by this machine type"
                "\nUse -numa node,memdev instead"
            )
        numa.located.append(
            f"{plan.where}: warning: Parameter -numa node,mem is deprecated, use -numa node,memdev instead"
        )
        uses = "mem"
        node.memory = size(values["mem"], "mem", MIB, fail)
    if "memdev" in values:
        backend = backends.get(values["memdev"])
        if backend is None:
            raise fail(f"memdev={values['memdev']} is ambiguous")
        uses = "memdev"
        node.memory, node.backend = backend.size, backend.id
    numa.nodes[number] = node
    return uses


def _distance(numa: Numa, plan: NumaPlan) -> None:
    source, target, value = (int(plan.values.get(key, "0"), 0) for key in ("src", "dst", "val"))
    for number, name in ((source, "src"), (target, "dst")):
        if number >= MOST_NODES:
            raise OptionError(f"{plan.where}: Parameter '{name}' expects an integer between 0 and {MOST_NODES - 1}")
    if source not in numa.nodes or target not in numa.nodes:
        raise OptionError(
            f"{plan.where}: Source/Destination NUMA node is missing. "
            "Please use '-numa node' option to declare it first."
        )
    if value < 10:
        raise OptionError(f"{plan.where}: NUMA distance ({value}) is invalid, it shouldn't be less than 10.")
    if source == target and value != 10:
        raise OptionError(f"{plan.where}: Local distance of node {source} should be 10.")
    numa.distances[source, target] = value


def _initiator(numa: Numa, plan: NumaPlan) -> None:
    """-numa hmat-lb: who accesses whom.

    :raises OptionError: nobody does.
    """
    if plan.kind != "hmat-lb":
        return
    for key in ("initiator", "target"):
        number = int(plan.values.get(key, "0"), 0)
        if number >= numa.count:
            raise OptionError(f"{plan.where}: Invalid {key}={number}, it should be less than {numa.count}.")
        if key == "initiator" and number not in numa.of_cpu.values():
            raise OptionError(f"{plan.where}: Invalid initiator={number}, it isn't an initiator proximity domain")


def _check_distances(numa: Numa) -> None:
    if not numa.distances:
        return
    count = numa.count
    for a in range(count):
        for b in range(count):
            if a != b and (a, b) not in numa.distances and (b, a) not in numa.distances:
                raise MachineError(
                    f"The distance between node {a} and {b} is missing, at least one distance value between "
                    "each nodes should be provided."
                )
    asymmetric = any(
        numa.distances.get((b, a), value) != value for (a, b), value in numa.distances.items() if a != b
    )
    if asymmetric:
        for a in range(count):
            for b in range(count):
                if a != b and (a, b) not in numa.distances:
                    raise MachineError(
                        "At least one asymmetrical pair of distances is given, please provide distances for both "
                        "directions of all node pairs."
                    )


def _cpu(
    numa: Numa, plan: NumaPlan, smp: Smp, levels: Sequence[str], place: Callable[[int], Mapping[str, int]]
) -> None:
    values = plan.values
    if "node-id" not in values:
        raise OptionError(f"{plan.where}: Missing mandatory node-id property")
    number = int(values["node-id"], 0)
    if number not in numa.nodes:
        raise OptionError(
            f"{plan.where}: Invalid node-id={number}, NUMA node must be defined with -numa node,nodeid=ID "
            "before it's used with -numa cpu,node-id=ID"
        )
    asked = {level: int(values[f"{level}-id"], 0) for level in _LEVELS if f"{level}-id" in values}
    for level in asked:
        if level not in levels:
            raise OptionError(f"{plan.where}: {level}-id is not supported")
    matched = False
    for index in range(smp.max_cpus):
        here = place(index)
        if all(here[level] == value for level, value in asked.items()):
            if numa.of_cpu.get(index, number) != number:
                raise OptionError(f"{plan.where}: CPU is already assigned to node-id: {numa.of_cpu[index]}")
            numa.of_cpu[index] = number
            matched = True
    if not matched:
        raise OptionError(f"{plan.where}: no match found")


def _spread(numa: Numa, ram: int) -> None:
    """Memory of machine types that split it by themselves: even 8 MiB steps, the rest to the last node."""
    count = numa.count
    used = 0
    for number in range(count - 1):
        numa.nodes[number].memory = ram // count // (8 * MIB) * (8 * MIB)
        used += numa.nodes[number].memory
    numa.nodes[count - 1].memory = ram - used


def _assign_cpus(
    numa: Numa,
    smp: Smp,
    levels: Sequence[str],
    place: Callable[[int], Mapping[str, int]],
    default_node: Callable[[int, int], int],
) -> None:
    """CPUs that nobody assigned: as the board wants it, or, where some were assigned, node 0 with a warning."""
    if not numa.of_cpu:
        for index in range(smp.max_cpus):
            numa.of_cpu[index] = default_node(index, numa.count)
        return
    missing = [index for index in range(smp.max_cpus) if index not in numa.of_cpu]
    if missing:
        names = []
        for index in missing:
            # QEMU asks for what it then does not take
            default_node(index, numa.count)
            here = place(index)
            shown = ", ".join(f"{level}-id: {here[level]}" for level in _LEVELS if level in levels)
            names.append(f"CPU {index} [{shown}]")
        numa.warnings.append(f"CPU(s) not present in any NUMA nodes: {', '.join(names)}")
        numa.warnings.append(
            "All CPU(s) up to maxcpus should be described in NUMA config, ability to start up with partial NUMA "
            "mappings is obsoleted and will be removed in future"
        )
        numa.of_cpu.update(dict.fromkeys(missing, 0))
