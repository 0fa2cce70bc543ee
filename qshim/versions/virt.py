"""What differs between QEMU binaries about the virt boards (spec/virt-boards.md): apart, since few machines need it."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["VirtQuirks", "virt_quirks"]


class VirtQuirks(NamedTuple):
    """The virt boards of one QEMU release; the defaults are those of 10.0."""

    valid_cpus_are_listed: bool = True
    """A CPU model that exists but does not fit is refused with the list of those that do (10.0; 3.1)."""
    arm_max_bits: int = 40
    """Width of physical addresses of `max` in qemu-system-arm: 32 in 7.2, which looks at it too early (3.1)."""
    tcg_runs_aarch32: bool = False
    """A 64-bit CPU may be told to do without AArch64 (11.1)."""
    gic_versions: tuple[str, ...] = ("2", "3", "4", "host", "max")
    """What gic-version takes (4.1)."""
    gic_versions_text: str = "Valid values are 3, 2, host, max."
    gic_by_cpus: bool = True
    """More than 8 CPUs get a GICv3 by themselves (10.0; 4.1)."""
    gicv4_text: str = "tcg does not support GICv4 emulation, is virtualization=on?"
    """Why gic-version=4 needs virtualization=on (4.1)."""
    redist2_always_counts: bool = False
    """CPUs of the second redistributor region count even where it is out of reach (7.2; 4.1)."""
    redist2_hint: bool = True
    """QEMU says what would make room for more CPUs (10.0; 4.1)."""
    has_cxl: bool = False
    """Registers of CXL host bridges have a place in the high map (11.1; 3.2)."""
    has_msi_option: bool = False
    """Property msi chooses between gicv2m and ITS (11.1; 4.2)."""
    always_has_msi: bool = False
    """Devices have MSI-X even where nothing takes the messages (11.1)."""
    second_uart: bool = True
    """A second -serial has a UART without secure=on (10.0; 5.3)."""
    smmu_size: int = 1 << 64
    """Bytes of what a function behind the SMMU sees: 2^48 in 7.2 (5.5)."""
    smmu_sees_memory: bool = False
    """The SMMU has an address space of its own (11.1; 5.5)."""
    nvdimm_without_ged: bool = False
    """An nvdimm of the command line needs no event device (11.1; 7)."""
    no_device_memory: str = ""
    """What a memory device is told without maxmem, where it is not what other boards say (7.2)."""
    linker_commands: int = 22
    """Commands that link the ACPI tables that every machine has: one more in 11.1 (asked of each release)."""
    flash_size_text: str = (
        "cfi.pflash01 device '{path}' requires {size} bytes, {drive} block backend provides {given} bytes"
    )
    """A flash image of the wrong size (8)."""


_10_0 = VirtQuirks()
_KNOWN = {
    "7.2": _10_0._replace(
        valid_cpus_are_listed=False,
        arm_max_bits=32,
        gic_by_cpus=False,
        gicv4_text="gic-version=4 requires virtualization enabled",
        redist2_always_counts=True,
        redist2_hint=False,
        second_uart=False,
        smmu_size=1 << 48,
        no_device_memory="memory devices (e.g. for memory hotplug) are not supported by the machine",
        flash_size_text="device requires {size} bytes, block backend provides {given} bytes",
    ),
    "10.0": _10_0,
    "11.1": _10_0._replace(
        gic_versions=("2", "3", "4", "x-5", "host", "max"),
        gic_versions_text="Valid values are 2, 3, 4, x-5, host, and max.",
        tcg_runs_aarch32=True,
        has_cxl=True,
        has_msi_option=True,
        always_has_msi=True,
        smmu_sees_memory=True,
        nvdimm_without_ged=True,
        linker_commands=23,
    ),
}


def virt_quirks(label: str) -> VirtQuirks:
    """The virt boards of dialect *label*.

    :raises KeyError: there is no such dialect.
    """
    return _KNOWN[label]
