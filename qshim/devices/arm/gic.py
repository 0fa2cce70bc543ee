"""Interrupt controllers: their registers grow with the number of CPUs (spec/virt-boards.md 2, 4)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from qshim.devices.catalogue import CatalogueDevice
from qshim.devices.layout import Layout, RegionPlan

__all__ = ["GicV2", "GicV3", "GicV5", "listed"]

SHARED = 256
"""Interrupt lines that belong to no CPU."""
PRIVATE = 32
"""Interrupt lines of each CPU."""
CPU_VIEW, VIRTUAL_VIEW = 0x100, 0x200
"""Bytes of the registers that each CPU sees at an address of its own, where nobody maps them."""


class _Gic(CatalogueDevice):
    """A controller for `num-cpu` CPUs, recorded with one."""

    cpus = 1
    """CPUs that are there from the start; the board sets it."""

    @property
    def virtual(self) -> bool:
        """It has registers for guests of the guest."""
        return self.is_on("has-virtualization-extensions", False)

    def irqs(self, recorded: int) -> int:
        """Outgoing lines, of which one CPU had *recorded*."""
        return recorded * self.cpus

    def prepare(self, layout: Layout) -> None:
        """Interrupt lines of all CPUs."""
        lines = SHARED + PRIVATE * self.cpus
        layout.objects = [("unnamed-gpio-in", "irq", lines) if name == "unnamed-gpio-in" else (name, kind, count)
                          for name, kind, count in layout.objects]  # fmt: skip
        self.properties.setdefault("num-cpu", str(self.cpus))
        shown = []
        for line in layout.lines:
            if line.startswith('gpio-out "sysbus-irq" '):
                line = f'gpio-out "sysbus-irq" {self.irqs(int(line.rpartition(" ")[2]))}'
            elif line.startswith('gpio-in "" '):
                line = f'gpio-in "" {lines}'
            shown.append(line)
        layout.lines = tuple(line for line in shown if not line.startswith("mmio "))

    @property
    def mapped(self) -> Iterator[tuple[int, int]]:
        """(address or -1, bytes) of each region that the board may map, in their order."""
        raise NotImplementedError

    def qtree_lines(self) -> Sequence[str]:
        """What `info qtree` says of it."""
        return [*self.layout.lines, *(f"mmio {at & (1 << 64) - 1:016x}/{size:016x}" for at, size in self.mapped)]

    def place_of(self, name: str) -> tuple[int, int]:
        """(address, bytes) of region *name*; address -1: nobody mapped it."""
        region = self.made[name]
        return (-1 if region.container is None else region.addr), region.size


class GicV2(_Gic):
    """arm_gic."""

    def irqs(self, recorded: int) -> int:
        """One more for each CPU that may run guests of its own."""
        return (4 + self.virtual) * self.cpus

    def prepare(self, layout: Layout) -> None:
        """Registers as each CPU sees them, at addresses that the board leaves alone."""
        super().prepare(layout)
        names = ("gic_cpu", "gic_viface") if self.virtual else ("gic_cpu",)
        layout.drop("gic_viface", *(() if self.virtual else ("gic_vcpu",)))
        for name in names:
            layout.regions = [plan for plan in layout.regions if plan.name == f"{name}[0]" or plan.plain != name]
            size = CPU_VIEW if name == "gic_cpu" else VIRTUAL_VIEW
            if name == "gic_viface":
                layout.add(RegionPlan("gic_viface[0]", 0x1000))
            for number in range(1, self.cpus + 1):
                layout.add(RegionPlan(f"{name}[{number}]", size))
        if self.virtual and layout.region("gic_vcpu") is None:
            layout.add(RegionPlan("gic_vcpu[0]", 0x2000))

    @property
    def mapped(self) -> Iterator[tuple[int, int]]:
        """Distributor, CPU interface, those for guests, then each CPU's own."""
        shared = ["gic_dist[0]", "gic_cpu[0]"]
        own = [f"gic_cpu[{n}]" for n in range(1, self.cpus + 1)]
        if self.virtual:
            shared += ["gic_viface[0]", "gic_vcpu[0]"]
            own += [f"gic_viface[{n}]" for n in range(1, self.cpus + 1)]
        for name in (*shared, *own):
            yield self.place_of(name)


class GicV3(_Gic):
    """arm-gicv3, which is GICv4 as well: one redistributor for each CPU, in one or two regions."""

    counts: tuple[int, ...] = (1,)
    """CPUs of each redistributor region; the board sets it."""
    step = 0x20000
    """Bytes of one CPU's redistributor."""

    @staticmethod
    def region_name(number: int) -> str:
        """Redistributor region *number* in the object tree."""
        return f"gicv3_redist_region\\x5b{number}\\x5d[0]"

    def prepare(self, layout: Layout) -> None:
        """Redistributors, and the address space that the ITS writes to."""
        super().prepare(layout)
        layout.regions = [plan for plan in layout.regions if not plan.name.startswith("gicv3_redist")]
        for number, count in enumerate(self.counts):
            layout.add(RegionPlan(self.region_name(number), count * self.step))
        numbers = listed(self.counts)
        layout.lines = tuple(
            f"redist-region-count = {numbers}" if line.startswith("redist-region-count = ") else
            f"len-redist-region-count = {len(self.counts)} (0x{len(self.counts):x})"
            if line.startswith("len-redist-region-count = ") else line
            for line in layout.lines
        )  # fmt: skip

    @property
    def mapped(self) -> Iterator[tuple[int, int]]:
        """Distributor, then redistributors."""
        yield self.place_of("gicv3_dist[0]")
        for number in range(len(self.counts)):
            yield self.place_of(self.region_name(number))


class GicV5(_Gic):
    """arm-gicv5 (11.1): one set of registers for each of four interrupt domains."""

    def prepare(self, layout: Layout) -> None:
        """It has no lines of its own for each CPU."""
        objects, lines = layout.objects, layout.lines
        super().prepare(layout)
        layout.objects = objects
        del self.properties["num-cpu"]
        paths = ", ".join(f'"/machine/unattached/device[{n}]"' for n in range(self.cpus))
        shown = {"cpus": paths, "cpu-iaffids": listed(range(self.cpus))}
        layout.lines = tuple(
            f"{line.partition(' = ')[0]} = {shown.get(line.partition(' = ')[0], line.partition(' = ')[2])}"
            if " = " in line else line
            for line in lines if not line.startswith("mmio ")
        )  # fmt: skip

    @property
    def mapped(self) -> Iterator[tuple[int, int]]:
        """Domain after domain."""
        for number in range(4):
            yield self.place_of(f"gicv5-irs-{number}[0]")


def listed(numbers: Sequence[int]) -> str:
    """A list of numbers as `info qtree` prints it: sorted, each once, neighbours joined.

    >>> listed((61, 9, 10))
    '9-10,61 (0x9-0xa,0x3d)'
    """
    runs: list[tuple[int, int]] = []
    for number in sorted(set(numbers)):
        if runs and runs[-1][1] == number - 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    plain = ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)
    return f"{plain} ({','.join(f'{a:#x}' if a == b else f'{a:#x}-{b:#x}' for a, b in runs)})"
