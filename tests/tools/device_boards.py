"""Which boards of a target are asked for the devices that they make themselves: used by record_devices.py."""

from __future__ import annotations

__all__ = ["BASES", "boards", "models", "plain_arguments"]

BASES = {"aarch64": "x86_64", "arm": "aarch64", "riscv64": "x86_64", "riscv32": "riscv64"}
"""Target -> the one whose data its own are told apart from; others stand alone."""

_X86 = (
    "pc", "q35", "microvm", "isapc", "microvm,pcie=on,usb=on", "pc,usb=on", "pc,x-south-bridge=piix4-isa",
)  # fmt: skip
_ARM = (
    "virt", "virt,gic-version=3", "virt,virtualization=on", "virt,secure=on", "virt,iommu=smmuv3",
    "virt,gic-version=3,secure=on,virtualization=on", "virt,gic-version=4,virtualization=on", "virt,msi=gicv2m",
    "virt-6.0",
)  # fmt: skip
_RISCV = (
    "virt", "virt,aclint=on", "virt,aia=aplic", "virt,aia=aplic-imsic", "virt,aia=aplic-imsic,aia-guests=3",
    "virt,aia=aplic-imsic,aclint=on", "virt,iommu-sys=on",
)  # fmt: skip
_FIRMWARE = ("-bios", "{firmware}", "-cpu", "max", "-m", "128M,slots=2,maxmem=1G")
"""With it the arm board has a generic event device."""


def boards(target: str) -> list[tuple[str, str, tuple[str, ...]]]:
    """(name in the data, -M value, further arguments) of each board of *target*."""
    if target in ("aarch64", "arm"):
        found: list[tuple[str, str, tuple[str, ...]]] = [(name, name, ()) for name in _ARM]
        if target == "aarch64":
            found.append(("virt,firmware", "virt", _FIRMWARE))
            found.append(("virt,gic-version=x-5", "virt,gic-version=x-5", ("-cpu", "max")))
        return found
    return [(name, name, ()) for name in (_RISCV if target in ("riscv64", "riscv32") else _X86)]


def plain_arguments(target: str) -> tuple[str, ...]:
    """Arguments of every machine of *target*."""
    # not every installation has the firmware for 32 bits
    return ("-bios", "none") if target in ("riscv64", "riscv32") else ()


def models(target: str, offered: str) -> list[str]:
    """CPU models of *target* that `virt` may take, of those that *offered* (`-cpu help`) lists."""
    if target not in BASES:
        return []
    names = [line.split()[0] for line in offered.splitlines()[1:] if line.startswith("  ")] or offered.split()
    return [name for name in names if name != "host"]
