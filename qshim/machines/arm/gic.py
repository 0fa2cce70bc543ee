"""Which interrupt controller the virt board gets, and for how many CPUs it does (spec/virt-boards.md 4)."""

from __future__ import annotations

from dataclasses import dataclass

from qshim.machines.arm.layouts import GIC_REDIST_SIZE, REDIST2_SIZE
from qshim.machines.errors import MachineError
from qshim.versions.virt import VirtQuirks

__all__ = ["FIVE", "GICV3_STEP", "GicChoice", "check_gic_version", "choose_gic"]

GICV3_STEP = 0x20000
_STEP = {3: GICV3_STEP, 4: 0x40000}
"""Version -> bytes of one CPU's redistributor."""
GICV2_CPUS = 8
FIVE = 5


@dataclass(frozen=True, slots=True)
class GicChoice:
    """An interrupt controller."""

    version: int
    """2, 3, 4, or 5 (gic-version=x-5)."""

    @property
    def step(self) -> int:
        """Bytes of one CPU's redistributor (GICv3 and GICv4)."""
        return _STEP[self.version]

    @property
    def has_redistributors(self) -> bool:
        """It is a GICv3 or GICv4."""
        return self.version in _STEP

    @property
    def low_cpus(self) -> int:
        """CPUs whose redistributors fit into the first region."""
        return GIC_REDIST_SIZE // self.step

    def most_cpus(self, *, second_region: bool, machine: int) -> int:
        """How many CPUs it serves, with or without the second region, on a board for *machine* CPUs."""
        if self.version == 2:
            return GICV2_CPUS
        if not self.has_redistributors:
            return machine
        return self.low_cpus + (REDIST2_SIZE // self.step if second_region else 0)


def check_gic_version(value: str, quirks: VirtQuirks) -> None:
    """Whether property gic-version takes *value*.

    :raises MachineError: it does not.
    """
    if value not in quirks.gic_versions:
        raise MachineError("Invalid gic-version value", quirks.gic_versions_text)


def choose_gic(
    value: str, max_cpus: int, quirks: VirtQuirks, *, virtualization: bool, secure: bool, emulated: bool = True
) -> GicChoice:
    """What *value* of gic-version (empty: not set) means under TCG (*emulated*) or a qtest.

    :raises MachineError: QEMU refuses it.
    """
    if not value:
        return GicChoice(3 if quirks.gic_by_cpus and max_cpus > GICV2_CPUS else 2)
    if value == "host":
        raise MachineError("gic-version=host requires KVM")
    if value == "max":
        return GicChoice(4 if virtualization else 3)
    if value == "4" and not virtualization:
        raise MachineError(quirks.gicv4_text if emulated else quirks.gicv4_text.replace("tcg", "QTest"))
    if value == "x-5":
        if virtualization or secure:
            raise MachineError("mach-virt: GICv5 currently supports EL1 only")
        return GicChoice(FIVE)
    return GicChoice(int(value))
