"""Random command lines of the virt boards of arm and riscv, seedable; virt_company.py has what they plug in.

Most lines hold only what their release takes; about every fifth may hold wrong values and what other releases have.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from functools import cache

from qshim.argv.dialect import option_help
from tests.sweep.command_lines import dimms, numa
from tests.sweep.virt_company import company, file_of, flash, nics, odds_and_ends

__all__ = ["GENERATORS", "arm_line", "riscv_line"]

Odds = Sequence[tuple[str, float]]
"""Options, each with how likely it is."""

ARM_CPUS = ("cortex-a15", "cortex-a7", "max")
ARM64_CPUS = (*ARM_CPUS, "cortex-a53", "cortex-a57", "cortex-a72", "cortex-a76", "neoverse-n1", "a64fx", "cortex-a35")
NEWER_CPUS = ("cortex-a710", "neoverse-v1", "neoverse-n2", "cortex-a55")
ODD_CPUS = (
    "cortex-m3", "host", "nosuch", "cortex-a710", "neoverse-v1", "arm926", "max,nosuch=on", "cortex-a53,pmu=maybe",
    "cortex-a57,aarch64=off", "max,sve=maybe", "", "cortex-r5", "cortex-a9",
)  # fmt: skip
ARM_FEATURES = ("pmu=off", "has_el3=off", "has_el2=off", "cfgend=on", "vfp=off", "neon=off")
MAX_FEATURES = ("sve=off", "pauth=off", "pauth-impdef=on", "sve128=on", "lpa2=off", "sme=off", "backcompat-cntfrq=on")
ARM_OPTIONS: Odds = (
    ("gic-version=2", 0.05), ("gic-version=3", 0.2), ("gic-version=4", 0.04), ("gic-version=max", 0.06),
    ("highmem=off", 0.08), ("its=off", 0.06), ("its=on", 0.03), ("virtualization=on", 0.14), ("secure=on", 0.14),
    ("mte=on", 0.06), ("ras=on", 0.05), ("acpi=off", 0.06), ("acpi=on", 0.03), ("acpi=auto", 0.03),
    ("iommu=smmuv3", 0.12), ("iommu=none", 0.02), ("nvdimm=on", 0.16), ("dtb-randomness=off", 0.03),
    ("dtb-kaslr-seed=off", 0.02), ("x-oem-id=QSHIM", 0.02), ("x-oem-table-id=LAYOUT", 0.02),
    ("default-bus-bypass-iommu=on", 0.03), ("graphics=off", 0.02), ("usb=on", 0.03), ("mem-merge=off", 0.02),
    ("dump-guest-core=off", 0.02), ("suppress-vmdesc=on", 0.01), ("hmat=on", 0.04),
)  # fmt: skip
ARM_SINCE_10: Odds = (
    ("compact-highmem=off", 0.06), ("compact-highmem=on", 0.02), ("highmem-redists=off", 0.07),
    ("highmem-ecam=off", 0.07), ("highmem-ecam=on", 0.02), ("highmem-mmio=off", 0.07), ("highmem-mmio-size=1T", 0.04),
    ("highmem-mmio-size=2T", 0.02), ("highmem-mmio-size=512G", 0.01), ("aux-ram-share=on", 0.02),
)  # fmt: skip
ARM_SINCE_11: Odds = (
    ("msi=off", 0.04), ("msi=gicv2m", 0.04), ("msi=its", 0.04), ("msi=auto", 0.02), ("virtio-mmio-transports=5", 0.04),
    ("virtio-mmio-transports=0", 0.01), ("gic-version=x-5", 0.05), ("cxl=on", 0.04),
)  # fmt: skip
ARM_WRONG: Odds = (
    ("gic-version=host", 0.05), ("gic-version=7", 0.04), ("gic-version=4", 0.05), ("iommu=wrong", 0.04),
    ("x-oem-id=toolong", 0.04), ("x-oem-table-id=muchtoolong", 0.03), ("acpi=maybe", 0.04), ("secure=1", 0.03),
    ("nosuch=1", 0.03), ("highmem-mmio-size=3G", 0.03), ("highmem-mmio-size=3T", 0.03), ("msi=wrong", 0.03),
    ("highmem-mmio-size=junk", 0.02), ("virtio-mmio-transports=33", 0.03), ("virtio-mmio-transports=x", 0.02),
    ("compact-highmem=off", 0.05), ("mte=maybe", 0.02), ("memory-backend=nosuch", 0.03), ("usb=perhaps", 0.02),
    ("virtio-mmio-transports=300", 0.01), ("kernel-irqchip=on", 0.03), ("gic-version=", 0.02),
)  # fmt: skip
RISCV_OPTIONS: Odds = (
    ("aclint=on", 0.2), ("aclint=off", 0.04), ("aia=none", 0.03), ("aia=aplic", 0.15), ("aia=aplic-imsic", 0.25),
    ("aia-guests=1", 0.05), ("aia-guests=2", 0.05), ("aia-guests=7", 0.05), ("aia-guests=0", 0.02), ("usb=on", 0.02),
    ("graphics=off", 0.02), ("mem-merge=off", 0.02), ("dump-guest-core=off", 0.02), ("suppress-vmdesc=on", 0.01),
)  # fmt: skip
RISCV_SINCE_10: Odds = (
    ("acpi=off", 0.12), ("acpi=on", 0.04), ("acpi=auto", 0.03), ("iommu-sys=on", 0.18), ("iommu-sys=auto", 0.02),
    ("iommu-sys=off", 0.02), ("aux-ram-share=on", 0.02),
)  # fmt: skip
RISCV_WRONG: Odds = (
    ("aia=wrong", 0.06), ("nosuch=1", 0.04), ("aia-guests=8", 0.05), ("aia-guests=junk", 0.05), ("aia-guests=-1", 0.04),
    ("aclint=maybe", 0.05), ("acpi=maybe", 0.04), ("iommu-sys=perhaps", 0.04), ("acpi=off", 0.05),
    ("memory-backend=nosuch", 0.03), ("nvdimm=on", 0.05), ("iommu-sys=on", 0.05), ("highmem=off", 0.03),
    ("aia-guests= 3", 0.03), ("kernel-irqchip=on", 0.03),
)  # fmt: skip
SMALL = (64, 128, 256, 512, 1000, 1024, 2048, 3072, 4096, 5120, 8192, 16384)
LARGE = (32768, 65536, 131072, 255 << 10, 256 << 10, 300 << 10, 511 << 10, 766 << 10, 1 << 20, 3 << 20)
"""MiB that no test machine has: their backend reserves nothing."""
ODD_MEMORY = ("0", "1M", "2M", "3073M", "junk", "-1", "1024x", "4095M,slots=2", "1G,maxmem=512M", "8P", "")
ODD_SMP = ("0", "cpus=4,nosuch=1", "junk", "4,maxcpus=2", "2,dies=2", "cpus=0,maxcpus=4", "2,books=2", "513", "256",
           "2,sockets=0", "-1", "4,modules=2")  # fmt: skip


def arm_line(chance: random.Random, label: str, place: str, *, wide: bool) -> Sequence[str]:
    """A command line of qemu-system-aarch64 (*wide*) or qemu-system-arm."""
    target = "aarch64" if wide else "arm"
    wild = chance.random() < 0.2
    machine = chance.choice(_types(label, target)) if chance.random() < 0.25 else "virt"
    options = ["virt-1.0" if wild and chance.random() < 0.05 else machine]
    _sprinkle(chance, options, ARM_OPTIONS)
    if label != "7.2":
        _sprinkle(chance, options, ARM_SINCE_10)
    if label == "11.1":
        _sprinkle(chance, options, ARM_SINCE_11)
    if wild:
        _sprinkle(chance, options, ARM_WRONG)
    if not (wide or wild) and "mte=on" in options:
        options.remove("mte=on")
    args = ["-nodefaults"] if chance.random() < 0.6 else []
    reach = 3072 if "highmem=off" in options or (not wide and label == "7.2") else 1 << 22
    if "mte=on" in options:
        # tags of more memory than the host has would be reserved
        reach = min(reach, SMALL[-1])
    mib, slots, words = _memory(chance, reach, wild, likely_slots=0.5 if wide else 0.3)
    cpu = _arm_cpu(chance, label, wide, wild, tags="mte=on" in options, far=mib > 300 << 10)
    if "virtualization=on" not in options and "gic-version=4" in options and not wild:
        options.append("virtualization=on")
    args += [*(("-cpu", cpu) if cpu else ()), *words]
    cpus, words = _smp(chance, wild, clusters=True, plain=_cpus_that_fit(options, label))
    args += words
    args += _numa(chance, mib, cpus, options, label, legacy=chance.random() < 0.1)
    firmware = chance.random() < (0.75 if slots else 0.2)
    if firmware:
        args += _arm_firmware(chance, place, options, wild)
    if not firmware and "ras=on" in options and not wild:
        options.remove("ras=on")
    with_event_device = firmware and wide and (cpu or "cortex-a15").partition(",")[0] not in ARM_CPUS[:2]
    with_event_device = with_event_device and "mte=on" not in options and "acpi=off" not in options
    if (with_event_device and slots) or chance.random() < 0.05:
        args += dimms(chance, slots, "nvdimm=on" in options)
    return _finished(chance, label, target, place, options, args, wild, 64 << 20)


def riscv_line(chance: random.Random, label: str, place: str, *, wide: bool) -> Sequence[str]:
    """A command line of qemu-system-riscv64 (*wide*) or qemu-system-riscv32."""
    target = "riscv64" if wide else "riscv32"
    wild = chance.random() < 0.2
    options = ["virt-10.0" if wild and chance.random() < 0.05 else "virt"]
    _sprinkle(chance, options, RISCV_OPTIONS)
    if label != "7.2":
        _sprinkle(chance, options, RISCV_SINCE_10)
    if wild:
        _sprinkle(chance, options, RISCV_WRONG)
    args = ["-nodefaults"] if chance.random() < 0.6 else []
    if chance.random() < 0.35:
        args += ["-cpu", _riscv_cpu(chance, label, target, wild)]
    mib, slots, words = _memory(chance, 1 << 22 if wide else 1024 if chance.random() < 0.9 else 12 << 10, wild,
                                likely_slots=0.15)  # fmt: skip
    args += words
    cpus, words = _smp(chance, wild, clusters=False, plain=64)
    args += words
    if cpus > 2 or mib > SMALL[-1] or chance.random() < 0.2:
        args += _numa(chance, mib, cpus, options, label, legacy=chance.random() < 0.4)
    lacks_firmware = not wide and label == "7.2"
    if chance.random() < 0.6 or lacks_firmware:
        args += ["-bios", chance.choice(("none", "none", file_of(place, "firmware", 1 << 16), "default"))]
        if lacks_firmware and args[-1] == "default":
            # it is not installed everywhere
            args[-1] = "none"
    elif wild and chance.random() < 0.1:
        args += ["-bios", "nosuch.bin"]
    if wild and chance.random() < 0.2:
        args += dimms(chance, slots, nvdimm=False)
    if label != "7.2" and chance.random() < 0.08:
        args += ["-device", chance.choice(("riscv-iommu-pci", "riscv-iommu-pci,id=iommu", "virtio-iommu-pci"))]
    return _finished(chance, label, target, place, options, args, wild, 32 << 20)


def _finished(
    chance: random.Random, label: str, target: str, place: str, options: list[str], args: list[str], wild: bool,
    flash_size: int,
) -> Sequence[str]:  # fmt: skip
    """With devices, flash and what changes no layout; memory that no test machine has is not reserved."""
    args += company(chance, label, target, wild)
    if chance.random() < 0.1 and "-bios" not in args:
        args += flash(chance, place, flash_size, options, wild)
    args += nics(chance, label, wild)
    args += odds_and_ends(chance, place, target, label, wild)
    args = [_unreserved(word) for word in args]
    if chance.random() < 0.1 and len(options) > 1:
        return ["-machine", options[0], *args, *(word for option in options[1:] for word in ("-machine", option))]
    return ["-M", ",".join(options), *args]


def _unreserved(word: str) -> str:
    found = re.fullmatch(r"memory-backend-\w+,.*size=(\d+)M", word)
    return f"{word},reserve=off" if found is not None and int(found[1]) > SMALL[-1] else word


def _arm_cpu(chance: random.Random, label: str, wide: bool, wild: bool, *, tags: bool, far: bool) -> str:
    if wild and chance.random() < 0.25:
        return chance.choice(ODD_CPUS)
    if wide and (tags or far) and (tags or chance.random() < 0.8):
        return "max"
    style = chance.random()
    if style < 0.3:
        return ""
    model = "max" if style < 0.5 else chance.choice(ARM64_CPUS if wide else ARM_CPUS)
    if wide and label != "7.2" and chance.random() < 0.1:
        model = chance.choice(NEWER_CPUS)
    if chance.random() < 0.08:
        features = [*ARM_FEATURES[:3], *(MAX_FEATURES if model == "max" and wide else ())]
        if wild:
            features += ["aarch64=off", *ARM_FEATURES, *MAX_FEATURES]
        model += f",{chance.choice(features)}"
    return model


def _cpus_that_fit(options: list[str], label: str) -> int:
    """How many CPUs the interrupt controller takes."""
    version = next((option for option in options if option.startswith("gic-version=")), "")
    if version == "gic-version=2" or (label == "7.2" and not version):
        return 8
    return 61 if version in ("gic-version=4", "gic-version=max") else 123


def _riscv_cpu(chance: random.Random, label: str, target: str, wild: bool) -> str:
    if wild and chance.random() < 0.25:
        return chance.choice(("nosuch", "host", "rv64,nosuch=1", "rv32,v=maybe", "", "any,h=on"))
    model = chance.choice(_models(label, target)) if chance.random() < 0.7 else {"riscv64": "rv64"}.get(target, "rv32")
    if chance.random() < 0.15 and model in ("rv64", "rv32", "max"):
        features = ("v=on", "h=on", "h=off", "c=off", "zbb=off", "sstc=off", "mmu=off", "f=off,d=off")
        model += f",{chance.choice(features)}"
    return model


def _arm_firmware(chance: random.Random, place: str, options: list[str], wild: bool) -> list[str]:
    if wild and chance.random() < 0.1:
        return ["-bios", "nosuch.bin"]
    style = chance.random()
    if style < 0.65:
        return ["-bios", file_of(place, "firmware", chance.choice((1 << 16, 1 << 21, 64 << 20)))]
    path = file_of(place, "flash", 64 << 20)
    if style < 0.85:
        return ["-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={path}"]
    options.append("pflash0=code")
    return ["-blockdev", f"driver=file,node-name=code,filename={path},read-only=on"]


def _sprinkle(chance: random.Random, options: list[str], odds: Odds) -> None:
    """Add some of the options, none of them twice."""
    for option, likely in odds:
        name = option.partition("=")[0] + "="
        if chance.random() < likely and not any(known.startswith(name) for known in options):
            options.append(option)


@cache
def _types(label: str, target: str) -> tuple[str, ...]:
    rows = option_help(label, target)["-M help"][1].splitlines()
    return tuple(row.split()[0] for row in rows if row.startswith("virt-"))


@cache
def _models(label: str, target: str) -> tuple[str, ...]:
    words = option_help(label, target)["-cpu help"][1].split()
    return tuple(word for word in words if word not in ("Available", "CPUs:"))


def _memory(chance: random.Random, reach: int, wild: bool, *, likely_slots: float) -> tuple[int, int, list[str]]:
    """(MiB, slots, -m and the backend that it needs), seldom more than *reach* MiB."""
    if wild and chance.random() < 0.15:
        return 128, 0, ["-m", chance.choice(ODD_MEMORY)]
    if chance.random() < 0.12:
        return 128, 0, []
    sizes = LARGE if chance.random() < 0.12 else SMALL
    mib = chance.choice([size for size in sizes if size <= reach] or SMALL[:8]) if not wild else chance.choice(sizes)
    text, slots = chance.choice((f"{mib}", f"{mib}M", f"size={mib}M")), 0
    if chance.random() < likely_slots:
        slots = chance.choice((0, 1, 2, 4)) if chance.random() < 0.9 else chance.choice((8, 64, 255, 256, 257))
        extra = 0 if wild and chance.random() < 0.1 else chance.choice((512, 1024, 4096, 16384, 262144, 700 << 10))
        if not wild and mib + extra > reach:
            extra = 512
        text += f",slots={slots},maxmem={mib + extra}M" if slots else f",maxmem={mib + extra}M"
    return mib, slots, ["-m", text]


def _smp(chance: random.Random, wild: bool, *, clusters: bool, plain: int) -> tuple[int, list[str]]:
    """(CPUs at most, -smp), seldom more than *plain*."""
    if wild and chance.random() < 0.2:
        return 1, ["-smp", chance.choice(ODD_SMP)]
    if chance.random() < 0.4:
        return 1, []
    cpus = chance.choice((1, 2, 3, 4, 5, 6, 8)) if chance.random() < 0.88 else chance.choice((9, 16, 24, 62, 124))
    cpus = cpus if cpus <= plain or wild else min(plain, 8)
    style = chance.random()
    if style < 0.4:
        return cpus, ["-smp", chance.choice((f"{cpus}", f"cpus={cpus}"))]
    most = min(cpus * chance.choice((1, 2, 4)), max(cpus, plain))
    if style < 0.65:
        return most, ["-smp", f"{cpus},maxcpus={most}"]
    if style < 0.75:
        return cpus, ["-smp", chance.choice((f"cores={cpus}", f"sockets={cpus}", f"maxcpus={cpus}", f"threads={cpus}"))]
    sockets, cores, threads = chance.choice((1, 2)), chance.choice((1, 2, 4)), chance.choice((1, 2))
    inner = chance.choice((1, 2)) if clusters and chance.random() < 0.5 else 1
    while sockets * cores * threads * inner > plain:
        sockets, inner, cores = 1, 1, cores // 2
    total = sockets * cores * threads * inner + (wild and chance.random() < 0.2)
    shown = f",clusters={inner}" if inner > 1 else ""
    present = chance.choice((total, total, max(total // 2, 1)))
    return total, ["-smp", f"{present},sockets={sockets}{shown},cores={cores},threads={threads},maxcpus={total}"]


def _numa(
    chance: random.Random, mib: int, cpus: int, options: list[str], label: str, *, legacy: bool
) -> list[str]:
    """Nodes with backends, or with memory of the machine (*legacy*), CPUs by place, distances, latencies."""
    if mib > SMALL[-1]:
        options.append("memory-backend=big")
        return ["-object", f"memory-backend-ram,id=big,size={mib}M"]
    style = chance.random()
    if style < 0.7:
        return numa(chance, mib, cpus, options)
    if style < 0.85 or cpus == 1:
        return []
    count = chance.choice((2, 2, 3, 4)) if chance.random() < 0.95 else 5
    share = mib // count // 2 * 2
    shares = [share] * (count - 1) + [mib - share * (count - 1)]
    args: list[str] = []
    for number, size in enumerate(shares):
        memory = f"mem={size}M" if legacy else f"memdev=n{number}"
        if not legacy:
            args += ["-object", f"memory-backend-ram,id=n{number},size={size}M"]
        args += ["-numa", f"node,nodeid={number},{memory}"]
    if chance.random() < 0.5:
        for index in range(cpus):
            where = f"core-id={index}" if label != "11.1" or "virt-" in options[0] else f"socket-id=0,core-id={index}"
            args += ["-numa", f"cpu,node-id={index * count // cpus},{where}"]
    if chance.random() < 0.5:
        far = chance.choice((20, 21, 40, 254, 255))
        pairs = [(one, other) for one in range(count) for other in range(count) if one < other]
        args += [word for one, other in pairs for word in ("-numa", f"dist,src={one},dst={other},val={far}")]
    if "hmat=on" in options:
        args += _latencies(count)
    return args


def _latencies(count: int) -> list[str]:
    """What -numa says of access to *count* nodes, whole."""
    args: list[str] = []
    for one in range(count):
        for other in range(count):
            where = f"hmat-lb,initiator={one},target={other},hierarchy=memory"
            args += ["-numa", f"{where},data-type=access-latency,latency={5 if one == other else 10}"]
            args += ["-numa", f"{where},data-type=access-bandwidth,bandwidth={400 if one == other else 200}M"]
    return args


GENERATORS = {
    "aarch64": lambda chance, label, place: arm_line(chance, label, place, wide=True),
    "arm": lambda chance, label, place: arm_line(chance, label, place, wide=False),
    "riscv64": lambda chance, label, place: riscv_line(chance, label, place, wide=True),
    "riscv32": lambda chance, label, place: riscv_line(chance, label, place, wide=False),
}
"""Target -> makes a command line of (chance, dialect, a directory for files that it names)."""
