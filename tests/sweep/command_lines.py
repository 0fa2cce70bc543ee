"""Random command lines of x86 machines, seedable: boards, memory, NUMA, backends, DIMMs, devices, CPUs, flash."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

__all__ = ["DEVICES", "devices", "dimms", "generate", "numa", "smp"]

DEVICES = (
    "VGA", "secondary-vga", "cirrus-vga", "qxl", "qxl-vga", "virtio-vga", "virtio-gpu-pci", "bochs-display",
    "vmware-svga", "e1000", "e1000e", "rtl8139", "virtio-net-pci", "ne2k_pci", "pcnet", "i82550", "vmxnet3",
    "virtio-scsi-pci", "virtio-serial-pci", "virtio-rng-pci", "virtio-balloon-pci", "virtio-keyboard-pci",
    "virtio-tablet-pci", "lsi53c895a", "megasas", "pvscsi", "mptsas1068", "qemu-xhci", "nec-usb-xhci", "pci-ohci",
    "usb-ehci", "piix3-usb-uhci", "ich9-ahci", "ich9-intel-hda", "intel-hda", "pvpanic-pci", "edu", "pci-testdev",
    "i6300esb", "sdhci-pci", "isa-debug-exit", "pvpanic", "isa-applesmc",
)  # fmt: skip
ISA_CARDS = ("isa-", "pvpanic")
_RICH = (
    "VGA,vgamem_mb={mib}", "virtio-net-pci,vectors={vectors}", "virtio-net-pci,mq=on,vectors={vectors}",
    "virtio-scsi-pci,num_queues=4", "qxl,ram_size_mb={mib}", "virtio-net-pci,disable-legacy=on",
    "virtio-net-pci,disable-modern=on", "virtio-rng-pci,disable-legacy=on", "virtio-net-pci,rombar=0",
    "e1000,rombar=0", "virtio-serial-pci,vectors=8", "virtio-gpu-pci,max_outputs=2", "bochs-display,vgamem=32M",
    "nec-usb-xhci,p2=8,p3=8", "virtio-net-pci,romfile=", "virtio-balloon-pci,disable-modern=on",
)  # fmt: skip


_MODULES = ("qxl", "virtio-gpu", "virtio-vga")
"""Devices that a 10.0 or 11.1 has as modules, which the installer does not fetch."""


def generate(chance: random.Random, label: str, place: str) -> Sequence[str]:
    """One command line; files that it names are made in *place*."""
    board = chance.choices(("pc", "q35", "versioned", "microvm", "isapc", "none"), (34, 38, 14, 6, 5, 3))[0]
    machine = _versioned(chance, label) if board == "versioned" else board
    q35 = "q35" in machine
    pci = board in ("pc", "q35", "versioned")
    options = [machine, *_machine_options(chance, board, q35, label)]
    args: list[str] = []
    plain = chance.random() < 0.6
    if plain:
        args.append("-nodefaults")
    ram, slots, args_m = _memory(chance, board)
    args += args_m
    cpus, args_smp = smp(chance, board)
    args += args_smp
    if pci:
        args += numa(chance, ram, cpus, options)
        nvdimm = any(option == "nvdimm=on" for option in options)
        args += dimms(chance, slots, nvdimm)
        args += devices(chance, q35, label)
    if chance.random() < 0.08 and pci:
        args += _flash(chance, place)
    if chance.random() < 0.1:
        cards = ("std", "cirrus", "vmware", "none", *(("qxl", "virtio") if label == "7.2" else ()))
        args += ["-vga", chance.choice(cards)]
    if chance.random() < 0.08:
        args += ["-serial", "null"] * chance.randint(1, 3)
    if chance.random() < 0.06 and board != "none":
        args += ["-cpu", chance.choice(("EPYC", "Opteron_G5", "Nehalem", "pentium3", "qemu32", "core2duo", "486"))]
    return ["-M", ",".join(options), *args]


def _versioned(chance: random.Random, label: str) -> str:
    from qshim.argv.dialect import option_help

    rows = option_help(label, "x86_64")["-M help"][1].splitlines()[1:]
    names = [row.split()[0] for row in rows if row.startswith(("pc-i440fx-", "pc-q35-"))]
    return chance.choice(names)


def _machine_options(chance: random.Random, board: str, q35: bool, label: str) -> list[str]:
    found = []
    if board in ("pc", "q35", "versioned"):
        for option, odds in (
            ("hpet=off", 0.06), ("vmport=off", 0.05), ("usb=on", 0.08), ("acpi=off", 0.05), ("smm=off", 0.06),
            ("nvdimm=on", 0.12), ("pit=off", 0.04), ("pic=off", 0.04), ("graphics=off", 0.04), ("i8042=off", 0.03),
            ("max-ram-below-4g=1G", 0.04), ("max-ram-below-4g=2G", 0.04), ("smbus=off", 0.04),
        ):  # fmt: skip
            if chance.random() < odds:
                found.append(option)
        if q35 and chance.random() < 0.06:
            found.append("sata=off")
        if found and "i8042=off" in found and label == "7.2" and chance.random() < 0.5:
            found.remove("i8042=off")
    elif board == "microvm":
        for option, odds in (("acpi=off", 0.2), ("usb=on", 0.2), ("pcie=on", 0.3), ("rtc=off", 0.2), ("pit=off", 0.2),
                             ("pic=off", 0.2), ("isa-serial=off", 0.2), ("ioapic2=off", 0.2)):  # fmt: skip
            if chance.random() < odds:
                found.append(option)
    return found


def _memory(chance: random.Random, board: str) -> tuple[int, int, list[str]]:
    mib = chance.choice((32, 64, 128, 256, 512, 1024, 2048, 2815, 2816, 3000, 3072, 3583, 3584, 4096, 5120))
    if board == "none":
        mib = 64
    if chance.random() < 0.15:
        return 128, 0, []
    text = chance.choice((f"{mib}", f"{mib}M", f"size={mib}M"))
    slots = 0
    if chance.random() < 0.45 and board in ("pc", "q35", "versioned"):
        slots = chance.choice((0, 1, 2, 4, 8, 16))
        most = mib + chance.choice((0, 512, 1024, 4096, 16384, 4096 * 9 + 128))
        text += f",slots={slots},maxmem={most}M" if slots else f",maxmem={most}M"
    return mib, slots, ["-m", text]


def smp(chance: random.Random, board: str) -> tuple[int, list[str]]:
    """(CPUs at most, -smp)."""
    if chance.random() < 0.55 or board == "none":
        return 1, []
    cpus = chance.choice((1, 2, 3, 4, 8))
    if board == "isapc":
        cpus = chance.choice((1, 1, 2))
    style = chance.random()
    if style < 0.4:
        return cpus, ["-smp", str(cpus)]
    most = cpus * chance.choice((1, 2, 4))
    if style < 0.7:
        return most, ["-smp", f"{cpus},maxcpus={most}"]
    sockets, cores, threads = chance.choice((1, 2)), chance.choice((1, 2, 4)), chance.choice((1, 2))
    total = sockets * cores * threads
    if chance.random() < 0.1:
        total += 1
    return total, ["-smp", f"{total},sockets={sockets},cores={cores},threads={threads}"]


def numa(chance: random.Random, ram: int, cpus: int, options: list[str]) -> list[str]:
    """-numa with its backends for *ram* MiB, or one backend for all, which *options* of -machine then name."""
    style = chance.random()
    if style < 0.75:
        return []
    if style < 0.83:
        options.append("memory-backend=main")
        kind = chance.choice(("ram", "memfd"))
        return ["-object", f"memory-backend-{kind},id=main,size={ram}M"]
    count = chance.choice((1, 2, 2, 3))
    args: list[str] = []
    left = ram
    for number in range(count):
        share = left if number == count - 1 else max(ram // count // 2 * 2, 2)
        if chance.random() < 0.05:
            share += 2
        left -= share
        args += ["-object", f"memory-backend-ram,id=n{number},size={max(share, 2)}M"]
    per = max(cpus // count, 1)
    for number in range(count):
        text = f"node,nodeid={number},memdev=n{number}"
        if chance.random() < 0.6 and number * per < cpus:
            last = cpus - 1 if number == count - 1 else min((number + 1) * per - 1, cpus - 1)
            text += f",cpus={number * per}-{last}" if last > number * per else f",cpus={number * per}"
        args += ["-numa", text]
    if count > 1 and chance.random() < 0.3:
        args += ["-numa", "dist,src=0,dst=1,val=21"]
    return args


def dimms(chance: random.Random, slots: int, nvdimm: bool) -> list[str]:
    """Memory devices with their backends."""
    args: list[str] = []
    count = chance.choice((0, 1, 1, 2, 3)) if slots else (1 if chance.random() < 0.04 else 0)
    for number in range(count):
        size = chance.choice((2, 64, 128, 256, 512, 1024)) if chance.random() < 0.95 else 3
        args += ["-object", f"memory-backend-ram,id=d{number},size={size}M"]
        kind = "nvdimm" if nvdimm and chance.random() < 0.4 else "pc-dimm"
        text = f"{kind},memdev=d{number}"
        if chance.random() < 0.6:
            text += f",id=dimm{number}"
        if chance.random() < 0.15:
            text += f",slot={chance.randint(0, 4)}"
        if chance.random() < 0.15:
            text += f",addr={chance.choice((0x100000000, 0x140000000, 0x180000000, 0x200000, 0x240200000)):#x}"
        if chance.random() < 0.06:
            text += f",node={chance.randint(0, 2)}"
        if kind == "nvdimm" and chance.random() < 0.4:
            text += ",label-size=128K"
        args += ["-device", text]
    if chance.random() < 0.08:
        args += ["-object", "memory-backend-ram,id=spare,size=16M"]
    if slots and chance.random() < 0.1:
        args += ["-object", "memory-backend-ram,id=vm0,size=256M", "-device", "virtio-mem-pci,memdev=vm0,id=vmem0"]
        if chance.random() < 0.5:
            args[-1] += ",requested-size=64M"
    if slots and chance.random() < 0.06:
        args += ["-object", "memory-backend-ram,id=pm0,size=128M", "-device", "virtio-pmem-pci,memdev=pm0,id=pmem0"]
    return args


def devices(
    chance: random.Random, q35: bool, label: str, names: Sequence[str] = DEVICES, *, slots: bool = False
) -> list[str]:
    """PCI devices and bridges, and what else *names* has; *slots*: bridges have no slot 0."""
    args: list[str] = []
    count = chance.choice((0, 0, 1, 2, 3, 5, 8, 12))
    buses: list[str] = []
    for number in range(count):
        style = chance.random()
        if style < 0.1:
            kind = chance.choice(("pcie-root-port", "pci-bridge", "pcie-pci-bridge") if q35 else ("pci-bridge",))
            text = f"{kind},id=br{number}"
            if kind == "pci-bridge":
                text += f",chassis_nr={number + 1}"
            elif kind == "pcie-root-port":
                text += f",chassis={number + 1},slot={number + 1}"
            buses.append(f"br{number}")
            args += ["-device", text]
            continue
        if style < 0.3:
            mib, vectors = chance.choice((8, 16, 32, 64)), chance.choice((0, 2, 64, 200))
            text = chance.choice(_RICH).format(mib=mib, vectors=vectors)
        elif style < 0.36:
            args += ["-object", f"memory-backend-ram,id=sh{number},size=16M"]
            text = f"ivshmem-plain,memdev=sh{number}"
        else:
            text = chance.choice(names)
        if label != "7.2" and text.startswith(_MODULES):
            continue
        if chance.random() < 0.5:
            text += f",id=dev{number}"
        card = text.startswith(ISA_CARDS) and not text.startswith("pvpanic-")
        if buses and chance.random() < 0.4 and not card:
            text += f",bus={chance.choice(buses)}"
            if slots and chance.random() < 0.8:
                text += f",addr={number + 1}"
        elif chance.random() < 0.12 and not card:
            text += f",addr={chance.choice(('5', '0x8', '1', '0a.1', '1f'))}"
            if chance.random() < 0.4:
                text += ",multifunction=on"
        args += ["-device", text]
    return args


def _flash(chance: random.Random, place: str) -> list[str]:
    args: list[str] = []
    for unit in range(chance.choice((1, 2))):
        size = chance.choice((64, 128, 256, 1024, 2048, 65))
        path = Path(place) / f"flash-{size}.img"
        if not path.exists():
            path.write_bytes(b"\0" * (size << 10))
        args += ["-drive", f"if=pflash,unit={unit},format=raw,readonly=on,file={path}"]
    return args
