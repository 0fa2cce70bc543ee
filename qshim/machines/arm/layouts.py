"""Addresses of the virt board in order, and the map above RAM, which floats (spec/virt-boards.md 2 and 3.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from qshim.machines.errors import MachineError
from qshim.units import GIB, MIB, SPACE, up

__all__ = ["HighMap", "high_map"]

FLASH_SIZE = 0x4000000
FLASH0, FLASH1 = 0x0, 0x4000000
GIC_DIST = 0x8000000
GIC_CPU = 0x8010000
GICV5_IRS = 0x8010000
GIC_V2M = 0x8020000
GIC_VIFACE = 0x8030000
GIC_VCPU = 0x8040000
GIC_ITS = 0x8080000
GIC_REDIST, GIC_REDIST_SIZE = 0x80A0000, 0xF60000
UART0 = 0x9000000
RTC = 0x9010000
FW_CFG_DATA, FW_CFG_CTL, FW_CFG_DMA = 0x9020000, 0x9020008, 0x9020010
GPIO = 0x9030000
UART1 = 0x9040000
SMMU = 0x9050000
GED_MEMORY = 0x9070000
GED = 0x9080000
NVDIMM_ACPI = 0x9090000
SECURE_GPIO = 0x90B0000
VIRTIO, VIRTIO_STEP, TRANSPORTS = 0xA000000, 0x200, 32
PLATFORM_BUS = 0xC000000
SECURE_RAM, SECURE_RAM_SIZE = 0xE000000, 0x1000000
PCI_MEMORY, PCI_MEMORY_SIZE = 0x10000000, 0x2EFF0000
PCI_PORTS = 0x3EFF0000
LOW_ECAM, LOW_ECAM_SIZE = 0x3F000000, 0x1000000
RAM = 0x40000000

HIGH = 256 * GIB
"""Where the high map begins, unless memory ends above."""
REDIST2_SIZE = 64 * MIB
CXL_SIZE = MIB
HIGH_ECAM_SIZE = 256 * MIB
HIGH_MMIO_SIZE = 512 * GIB
MOST_SLOTS = 256


@dataclass(slots=True)
class HighMap:
    """Device memory and what follows it."""

    device_memory: tuple[int, int] | None = None
    """(base, size)"""
    bases: dict[str, int] = field(default_factory=dict)
    """Region -> address: redist2, cxl, ecam, mmio."""
    enabled: dict[str, bool] = field(default_factory=dict)
    """Region -> it is asked for and lies within reach."""


def high_map(
    ram: int,
    max_memory: int,
    slots: int,
    bits: int,
    wanted: Mapping[str, bool],
    *,
    compact: bool,
    cxl: bool,
    mmio_size: int = HIGH_MMIO_SIZE,
) -> HighMap:
    """Where everything above *ram* bytes of RAM lies.

    :param bits: width of physical addresses.
    :param wanted: redist2, ecam, mmio -> asked for.
    :param compact: what is not there takes no room.
    :param cxl: this QEMU keeps room for the registers of CXL host bridges.
    :raises MachineError: memory reaches beyond *bits*.
    """
    if slots > MOST_SLOTS:
        raise MachineError(f"unsupported number of memory slots: {slots}")
    base = up(RAM + ram, GIB)
    # a backend that is larger than -m says leaves less than nothing, which wraps
    size = (max_memory - ram + slots * GIB) % SPACE
    end = base + up(size, GIB) % SPACE
    if end > 1 << bits:
        raise MachineError(f"Addressing limited to {bits} bits, but memory exceeds it by {end - (1 << bits)} bytes")
    if end >= SPACE:
        raise MachineError("maxmem/slots too huge")
    made = HighMap((base, size) if size else None)
    at = max(end, HIGH)
    sizes = {"redist2": REDIST2_SIZE, "cxl": CXL_SIZE, "ecam": HIGH_ECAM_SIZE, "mmio": mmio_size}
    if not cxl:
        del sizes["cxl"]
    for name, length in sizes.items():
        made.bases[name] = up(at, length)
        fits = made.bases[name] + length <= 1 << bits
        made.enabled[name] = fits and wanted.get(name, False)
        if made.enabled[name] or not compact:
            at = made.bases[name] + length
    return made
