"""Random command lines of the virt boards of arm and riscv, seedable; command_lines.py has what x86 shares."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from qshim.argv.dialect import option_help
from qshim.machines.plugging import device_types
from tests.sweep.command_lines import DEVICES, devices, dimms, numa

__all__ = ["GENERATORS", "arm_line", "riscv_line"]

TRANSPORTS = (
    "virtio-net-device", "virtio-rng-device", "virtio-serial-device", "virtio-balloon-device", "virtio-scsi-device",
    "virtio-keyboard-device", "virtio-tablet-device", "virtio-mouse-device",
)  # fmt: skip
ARM_CPUS = ("cortex-a15", "cortex-a7", "max")
ARM64_CPUS = (*ARM_CPUS, "cortex-a53", "cortex-a57", "cortex-a72", "cortex-a76", "neoverse-n1", "a64fx", "cortex-a35")
ODD_CPUS = ("cortex-m3", "host", "nosuch", "cortex-a710", "neoverse-v1", "cortex-a53", "arm926", "max,nosuch=on")


def arm_line(chance: random.Random, label: str, place: str, *, wide: bool) -> Sequence[str]:
    """A command line of qemu-system-aarch64 (*wide*) or qemu-system-arm."""
    target = "aarch64" if wide else "arm"
    machine = chance.choice(_types(label, target)) if chance.random() < 0.22 else "virt"
    options = [machine]
    _sprinkle(chance, options, (
        ("gic-version=2", 0.05), ("gic-version=3", 0.16), ("gic-version=4", 0.04), ("gic-version=max", 0.05),
        ("gic-version=host", 0.01), ("gic-version=7", 0.01), ("highmem=off", 0.1), ("its=off", 0.06),
        ("virtualization=on", 0.14), ("secure=on", 0.14), ("mte=on", 0.06), ("ras=on", 0.03), ("acpi=off", 0.06),
        ("iommu=smmuv3", 0.1), ("iommu=none", 0.02), ("iommu=wrong", 0.01), ("nvdimm=on", 0.14),
        ("dtb-randomness=off", 0.03), ("x-oem-id=QSHIM", 0.02), ("x-oem-id=toolong", 0.01), ("acpi=maybe", 0.01),
        ("dumpdtb-nothing=1", 0.005),
    ))  # fmt: skip
    if label != "7.2" or chance.random() < 0.05:
        _sprinkle(chance, options, (
            ("compact-highmem=off", 0.06), ("highmem-redists=off", 0.06), ("highmem-ecam=off", 0.07),
            ("highmem-mmio=off", 0.07), ("highmem-mmio-size=1T", 0.04), ("highmem-mmio-size=3G", 0.01),
            ("highmem-ecam=on", 0.02),
        ))  # fmt: skip
    if label == "11.1":
        _sprinkle(chance, options, (("msi=off", 0.04), ("msi=gicv2m", 0.04), ("msi=its", 0.04), ("msi=auto", 0.02),
                             ("virtio-mmio-transports=5", 0.05), ("virtio-mmio-transports=33", 0.01),
                             ("gic-version=x-5", 0.04), ("cxl=on", 0.03)))  # fmt: skip
    args: list[str] = []
    if chance.random() < 0.6:
        args.append("-nodefaults")
    if chance.random() < 0.5 or "mte=on" in options:
        args += ["-cpu", "max" if "mte=on" in options and chance.random() < 0.8 else _arm_cpu(chance, wide)]
    elif chance.random() < 0.5:
        args += ["-cpu", "max"]
    mib, slots, words = _memory(chance, 3 if chance.random() < 0.03 else None)
    args += words
    cpus, words = _smp(chance, clusters=True)
    args += words
    args += numa(chance, mib, cpus, options)
    firmware = chance.random() < (0.7 if slots else 0.15)
    if firmware:
        args += ["-bios", _file(place, "firmware", 1 << 16)]
    if (firmware and wide) or chance.random() < 0.1:
        args += dimms(chance, slots, "nvdimm=on" in options)
    args += _company(chance, label, target)
    if chance.random() < 0.08:
        args += _flash(chance, place, 64 << 20)
    if chance.random() < 0.12:
        args += ["-serial", "null"] * chance.randint(1, 3)
    if chance.random() < 0.06:
        args += ["-nic", chance.choice(("none", "user,model=e1000", "user,model=virtio-net-pci", "user,model=nosuch"))]
    return ["-M", ",".join(options), *args]


def _arm_cpu(chance: random.Random, wide: bool) -> str:
    return chance.choice(ODD_CPUS if chance.random() < 0.08 else ARM64_CPUS if wide else ARM_CPUS)


def riscv_line(chance: random.Random, label: str, place: str, *, wide: bool) -> Sequence[str]:
    """A command line of qemu-system-riscv64 (*wide*) or qemu-system-riscv32."""
    target = "riscv64" if wide else "riscv32"
    options = ["virt" if chance.random() < 0.99 else "virt-10.0"]
    _sprinkle(chance, options, (
        ("aclint=on", 0.2), ("aclint=off", 0.04), ("aia=none", 0.03), ("aia=aplic", 0.15), ("aia=aplic-imsic", 0.25),
        ("aia=wrong", 0.01), ("dumpdtb-nothing=1", 0.005), ("aia-guests=1", 0.05), ("aia-guests=2", 0.05),
        ("aia-guests=7", 0.05), ("aia-guests=0", 0.02), ("aia-guests=8", 0.01), ("aia-guests=junk", 0.01),
        ("usb=on", 0.02), ("graphics=off", 0.02), ("aclint=maybe", 0.01),
    ))  # fmt: skip
    if label != "7.2" or chance.random() < 0.04:
        _sprinkle(chance, options, (("acpi=off", 0.12), ("acpi=on", 0.04), ("acpi=auto", 0.03), ("acpi=maybe", 0.01),
                             ("iommu-sys=on", 0.16), ("iommu-sys=auto", 0.02), ("iommu-sys=off", 0.02)))  # fmt: skip
    args: list[str] = []
    if chance.random() < 0.6:
        args.append("-nodefaults")
    if chance.random() < 0.3:
        args += ["-cpu", chance.choice(("nosuch", "host") if chance.random() < 0.05 else _models(label, target))]
    mib, slots, words = _memory(chance, 11264 if not wide and chance.random() < 0.05 else None)
    args += words
    cpus, words = _smp(chance, clusters=False)
    args += words
    if cpus > 2 or chance.random() < 0.2:
        args += numa(chance, mib, cpus, options)
    lacks_firmware = not wide and label == "7.2"
    if chance.random() < 0.6 or lacks_firmware:
        args += ["-bios", chance.choice(("none", "none", _file(place, "firmware", 1 << 16), "default"))]
        if lacks_firmware and args[-1] == "default":
            args[-1] = "none"
    elif chance.random() < 0.03:
        args += ["-bios", "nosuch.bin"]
    if chance.random() < 0.05:
        args += dimms(chance, slots, False)
    args += _company(chance, label, target)
    if label != "7.2" and chance.random() < 0.07:
        args += ["-device", chance.choice(("riscv-iommu-pci", "riscv-iommu-pci,id=iommu", "virtio-iommu-pci"))]
    if chance.random() < 0.08:
        args += _flash(chance, place, 32 << 20)
    if chance.random() < 0.12:
        args += ["-serial", "null"] * chance.randint(1, 3)
    if chance.random() < 0.06:
        args += ["-nic", chance.choice(("none", "user,model=e1000", "user,model=virtio-net-pci", "user,model=nosuch"))]
    return ["-M", ",".join(options), *args]


def _sprinkle(chance: random.Random, options: list[str], odds: Sequence[tuple[str, float]]) -> None:
    """Add some of the options, none of them twice."""
    for option, likely in odds:
        name = option.partition("=")[0] + "="
        if chance.random() < likely and not any(known.startswith(name) for known in options):
            options.append(option)


@cache
def _types(label: str, target: str) -> tuple[str, ...]:
    rows = option_help(label, target)["-M help"][1].splitlines()
    return (*(row.split()[0] for row in rows if row.startswith("virt-")), "virt-1.0")


@cache
def _models(label: str, target: str) -> tuple[str, ...]:
    words = option_help(label, target)["-cpu help"][1].split()
    return tuple(word for word in words if word not in ("Available", "CPUs:"))


def _memory(chance: random.Random, asked: int | None) -> tuple[int, int, list[str]]:
    """(MiB, slots, -m)."""
    mib = asked or chance.choice((64, 128, 256, 512, 1000, 1024, 2048, 3072, 4096, 5120, 8192, 16384))
    if chance.random() < 0.15 and asked is None:
        return 128, 0, []
    text, slots = chance.choice((f"{mib}", f"{mib}M", f"size={mib}M")), 0
    if chance.random() < 0.4:
        slots = chance.choice((8, 255, 256, 257)) if chance.random() < 0.1 else chance.choice((0, 1, 2, 4))
        most = mib + (0 if chance.random() < 0.05 else chance.choice((512, 1024, 4096, 16384, 262144)))
        text += f",slots={slots},maxmem={most}M" if slots else f",maxmem={most}M"
    return mib, slots, ["-m", text]


def _smp(chance: random.Random, *, clusters: bool) -> tuple[int, list[str]]:
    """(CPUs at most, -smp)."""
    if chance.random() < 0.5:
        return 1, []
    cpus = chance.choice((1, 2, 3, 4, 5, 6, 8)) if chance.random() < 0.9 else chance.choice((9, 16, 124, 513))
    style = chance.random()
    if style < 0.5:
        return cpus, ["-smp", str(cpus)]
    most = cpus * chance.choice((1, 2, 4))
    if style < 0.75:
        return most, ["-smp", f"{cpus},maxcpus={most}"]
    sockets, cores, threads = chance.choice((1, 2)), chance.choice((1, 2, 4)), chance.choice((1, 2))
    inner = chance.choice((1, 2)) if chance.random() < (0.5 if clusters else 0.05) else 1
    total = sockets * cores * threads * inner + (chance.random() < 0.1)
    shown = f",clusters={inner}" if inner > 1 else ""
    return total, ["-smp", f"{total},sockets={sockets}{shown},cores={cores},threads={threads}"]


def _company(chance: random.Random, label: str, target: str) -> list[str]:
    """Devices on PCI, on virtio transports, and on the platform bus."""
    known = device_types(label, target).buses
    names = [name for name in DEVICES if name in known]
    args = devices(chance, True, label, names, slots=True) if chance.random() < 0.7 else []
    for number in range(chance.choice((0, 0, 0, 0, 1, 2, 3, 4))):
        text = chance.choice(TRANSPORTS)
        if chance.random() < 0.4:
            text += f",id=mmio{number}"
        if chance.random() < 0.2:
            text += f",bus=virtio-mmio-bus.{chance.choice((0, 1, 2, 3, 5, 7))}"
        args += ["-device", text]
    if chance.random() < 0.06:
        args += ["-device", chance.choice(("ramfb", "ramfb,id=fb", "tpm-tis-device", "uefi-vars-sysbus"))]
    if chance.random() < 0.05:
        args += ["-device", f"pxb-pcie,id=pxb,bus_nr={chance.choice((8, 32, 200))}"]
        if chance.random() < 0.5:
            args += ["-device", "pcie-root-port,id=behind,bus=pxb,chassis=99"]
    if chance.random() < 0.04:
        args += ["-device", chance.choice(("virtio-iommu-pci", "virtio-iommu-device"))]
    return args


def _file(place: str, name: str, size: int) -> str:
    path = Path(place) / f"{name}-{size}.img"
    if not path.exists():
        with path.open("wb") as stream:
            stream.truncate(size)
    return str(path)


def _flash(chance: random.Random, place: str, size: int) -> list[str]:
    args: list[str] = []
    for unit in chance.choice(((0,), (0, 1), (1,), (0, 1, 2))):
        given = size if chance.random() < 0.85 else 1 << 20
        path = _file(place, "flash", given)
        args += ["-drive", f"if=pflash,unit={unit},format=raw,readonly=on,file={path}"]
    return args


GENERATORS = {
    "aarch64": lambda chance, label, place: arm_line(chance, label, place, wide=True),
    "arm": lambda chance, label, place: arm_line(chance, label, place, wide=False),
    "riscv64": lambda chance, label, place: riscv_line(chance, label, place, wide=True),
    "riscv32": lambda chance, label, place: riscv_line(chance, label, place, wide=False),
}
"""Target -> makes a command line of (chance, dialect, a directory for files that it names)."""
