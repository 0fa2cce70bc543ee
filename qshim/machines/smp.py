"""-smp: how many CPUs, and how they are arranged (spec/x86-boards.md 7)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from qshim.machines.errors import MachineError

__all__ = ["Smp", "smp_of"]


@dataclass(frozen=True, slots=True)
class Smp:
    """CPUs and the levels of their topology."""

    cpus: int = 1
    max_cpus: int = 1
    sockets: int = 1
    dies: int = 1
    modules: int = 1
    clusters: int = 1
    cores: int = 1
    threads: int = 1

    def place(self, index: int) -> dict[str, int]:
        """Where CPU *index* sits: threads count fastest, then cores, modules, clusters, dies, sockets."""
        levels = {}
        for name, count in (("thread", self.threads), ("core", self.cores), ("module", self.modules),
                            ("cluster", self.clusters), ("die", self.dies), ("socket", self.sockets)):  # fmt: skip
            levels[name] = index % count if name != "socket" else index
            index //= count
        return levels


def smp_of(
    given: Mapping[str, int], machine: str, most: int, *, prefer_sockets: bool, strict: bool, levels: tuple[str, ...]
) -> tuple[Smp, list[str]]:
    """What -smp *given* means for *machine*, which takes up to *most* CPUs, and warnings.

    :param strict: zeros are errors (since 8.x; before, a warning).
    :param levels: levels besides sockets, cores and threads that the board has (`dies`, `modules`, `clusters`).
    :raises MachineError: the numbers do not fit.
    """
    warnings: list[str] = []
    if any(value == 0 for value in given.values()):
        text = "CPU topology parameters must be greater than zero"
        if strict:
            raise MachineError(f"Invalid CPU topology: {text}")
        warnings.append(f"Deprecated CPU topology (considered invalid): {text}")
    unknown = ("modules", "clusters", "dies", "books", "drawers") if strict else ("dies", "clusters")
    for name in unknown:
        if given.get(name, 0) > 1 and name not in levels:
            excess = " > 1" if strict else ""
            raise MachineError(f"{name}{excess} not supported by this machine's CPU topology")
    cpus, maximum = given.get("cpus", 0), given.get("maxcpus", 0)
    sockets, cores, threads = given.get("sockets", 0), given.get("cores", 0), given.get("threads", 0)
    dies, modules = given.get("dies", 0) or 1, given.get("modules", 0) or 1
    clusters = given.get("clusters", 0) or 1
    inner = dies * modules * clusters
    if not cpus and not maximum:
        sockets, cores, threads = sockets or 1, cores or 1, threads or 1
    else:
        maximum = maximum or cpus
        if prefer_sockets:
            if not sockets:
                cores, threads = cores or 1, threads or 1
                sockets = maximum // (inner * cores * threads)
            elif not cores:
                threads = threads or 1
                cores = maximum // (sockets * inner * threads)
        elif not cores:
            sockets, threads = sockets or 1, threads or 1
            cores = maximum // (sockets * inner * threads)
        elif not sockets:
            threads = threads or 1
            sockets = maximum // (inner * cores * threads)
        if not threads:
            threads = maximum // (sockets * inner * cores)
    total = sockets * inner * cores * threads
    maximum = maximum or total
    cpus = cpus or maximum
    shown = f"sockets ({sockets})"
    if "dies" in levels:
        shown += f" * dies ({dies})"
    if "modules" in levels:
        shown += f" * modules ({modules})"
    if "clusters" in levels:
        shown += f" * clusters ({clusters})"
    shown += f" * cores ({cores}) * threads ({threads})"
    if total != maximum:
        raise MachineError(
            f"Invalid CPU topology: product of the hierarchy must match maxcpus: {shown} != maxcpus ({maximum})"
        )
    if maximum < cpus:
        raise MachineError(
            "Invalid CPU topology: maxcpus must be equal to or greater than smp: "
            f"{shown} == maxcpus ({maximum}) < smp_cpus ({cpus})"
        )
    if maximum > most or maximum < 0:
        raise MachineError(f"Invalid SMP CPUs {maximum}. The max CPUs supported by machine '{machine}' is {most}")
    return Smp(cpus, maximum, sockets, dies, modules, clusters, cores, threads), warnings
