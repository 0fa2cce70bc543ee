"""What random command lines of virt boards plug in: PCI, virtio over MMIO, USB, the platform bus, networks, flash."""

from __future__ import annotations

import random
from pathlib import Path

from qshim.machines.plugging import device_types
from tests.sweep.command_lines import DEVICES, devices
from tests.sweep.devices import plain_types, valued

__all__ = ["company", "file_of", "flash", "nics", "odds_and_ends"]

TRANSPORTS = (
    "virtio-net-device", "virtio-rng-device", "virtio-serial-device", "virtio-balloon-device", "virtio-scsi-device",
    "virtio-keyboard-device", "virtio-tablet-device", "virtio-mouse-device", "virtio-gpu-device",
)  # fmt: skip
USB = ("usb-kbd", "usb-mouse", "usb-tablet", "usb-hub", "usb-serial,chardev=nowhere", "usb-net")
SYSTEM_BUS = ("ramfb", "ramfb,id=fb", "uefi-vars-sysbus", "vmcoreinfo")
WRONG = (
    "nosuch", "virtio-blk-device", "virtio-net-pci,nosuch=1", "e1000,addr=99", "e1000,bus=nosuch", "VGA,vgamem_mb=junk",
    "virtio-net-device,bus=pcie.0", "pcie-root-port", "tpm-tis-device", "isa-serial", "pci-bridge", "usb-kbd",
    "virtio-iommu-device", "virtio-rng-device,bus=virtio-mmio-bus.99", "pl011", "cortex-a15-arm-cpu", "cfi.pflash01",
    "pc-dimm,memdev=nosuch", "virtio-net-pci,mac=junk", "qxl", "scsi-hd", "e1000,id=1x", "e1000,multifunction=maybe",
)  # fmt: skip


def company(chance: random.Random, label: str, target: str, wild: bool) -> list[str]:
    """Devices on all buses, some of them wrong where the line is *wild*."""
    known = device_types(label, target).buses
    names = [name for name in DEVICES if name in known]
    taken: list[str] = []
    if chance.random() < 0.5:
        taken += devices(chance, q35=True, label=label, names=names, slots=True)
    if not wild:
        taken = _offered(taken, known)
    if chance.random() < 0.35:
        taken += _catalogue(chance, label, target, wild)
    if chance.random() < 0.4:
        taken += _transports(chance, wild)
    if chance.random() < 0.08:
        taken += _usb(chance)
    if chance.random() < 0.06:
        taken += ["-device", chance.choice([name for name in SYSTEM_BUS if wild or name.partition(",")[0] in known])]
    if "pxb-pcie" in known and chance.random() < 0.06:
        taken += ["-device", f"pxb-pcie,id=pxb,bus_nr={chance.choice((8, 32, 200))}"]
        if chance.random() < 0.6:
            taken += ["-device", "pcie-root-port,id=behind,bus=pxb,chassis=99"]
            if chance.random() < 0.6:
                taken += ["-device", f"{chance.choice(('virtio-net-pci', 'e1000e', 'nec-usb-xhci'))},bus=behind"]
    if chance.random() < 0.04 and (wild or not (target.startswith("riscv") and label == "7.2")):
        taken += ["-device", "virtio-iommu-pci"]
    if wild and chance.random() < 0.25:
        taken += ["-device", chance.choice(WRONG)]
    if any("chardev=nowhere" in word for word in taken):
        taken = ["-chardev", "null,id=nowhere", *taken]
    return taken


def _offered(words: list[str], known: object) -> list[str]:
    """*words* without devices that this emulator does not have."""
    kept: list[str] = []
    for option, value in zip(words[::2], words[1::2], strict=True):
        if option != "-device" or value.partition(",")[0] in known:  # type: ignore[operator]
            kept += [option, value]
    return kept


def _catalogue(chance: random.Random, label: str, target: str, wild: bool) -> list[str]:
    """Any device types that need nothing, with random properties; others than functions need buses of their own."""
    args: list[str] = []
    buses = device_types(label, target).buses
    names = [name for name in plain_types(label, target) if wild or buses.get(name) == "PCI"]
    for number in range(chance.choice((1, 1, 2, 3, 4))):
        name = chance.choice(names)
        args += ["-device", valued(chance, label, target, name, f"{name},id=any{number}")]
    return args


def _transports(chance: random.Random, wild: bool) -> list[str]:
    args: list[str] = []
    free = [*range(8)]
    single = "virtio-balloon-device"
    for number in range(chance.choice((1, 1, 2, 3, 4))):
        again = any(word.startswith(single) for word in args)
        text = chance.choice([name for name in TRANSPORTS if wild or name != single or not again])
        if chance.random() < 0.4:
            text += f",id=mmio{number}"
        if chance.random() < 0.25:
            taken = chance.choice(free)
            if not wild:
                free.remove(taken)
            text += f",bus=virtio-mmio-bus.{taken}"
        args += ["-device", text]
    return args


def _usb(chance: random.Random) -> list[str]:
    controller = chance.choice(("qemu-xhci,id=usb0", "nec-usb-xhci,id=usb0", "usb-ehci,id=usb0", "pci-ohci,id=usb0"))
    args = ["-device", controller]
    for number in range(chance.choice((0, 1, 2, 3))):
        name = chance.choice([name for name in USB if not ("chardev" in name and "chardev" in " ".join(args))])
        args += ["-device", f"{name},id=usbdev{number}" + (",bus=usb0.0" if chance.random() < 0.5 else "")]
    return args


def nics(chance: random.Random, label: str, wild: bool) -> list[str]:
    """Networks of the machine, or a device with its backend."""
    style = chance.random()
    if style < 0.06:
        models = ("e1000", "virtio-net-pci", "rtl8139", *(("nosuch", "virtio") if wild else ()))
        asked = f"user,model={chance.choice(models)}"
        return ["-nic", chance.choice(("none", "user", "user,mac=52:54:00:00:00:09", asked, asked))]
    if style < 0.14:
        model = chance.choice(("virtio-net-device", "virtio-net-pci", "e1000", "e1000e"))
        return ["-netdev", "user,id=net0", "-device", f"{model},netdev=net0"]
    if style < 0.16:
        return ["-net", chance.choice(("none", "nic", "user", "nic,model=e1000"))]
    return []


def flash(chance: random.Random, place: str, size: int, options: list[str], wild: bool) -> list[str]:
    """Images of flash as drives or as block nodes that *options* of -machine name, not all of the right size."""
    args: list[str] = []
    units = chance.choice(((0,), (0, 1), (1,), *(((0, 1, 2),) if wild else ())))
    style = chance.random()
    for unit in units:
        fits = not wild or chance.random() < 0.7
        path = file_of(place, "flash", size if fits else chance.choice((1 << 20, size * 2)))
        if style < 0.65:
            args += ["-drive", f"if=pflash,unit={unit},format=raw,readonly=on,file={path}"]
        elif style < 0.75:
            args += ["-pflash", file_of(place, "flash-written", size)]
        elif not any(option.startswith(f"pflash{unit}=") for option in options):
            options.append(f"pflash{unit}=node{unit}")
            args += ["-blockdev", f"driver=file,node-name=node{unit},filename={path},read-only=on"]
    if style >= 0.65 and style < 0.75:
        return args[:2]
    return args


def odds_and_ends(chance: random.Random, place: str, target: str, label: str, wild: bool) -> list[str]:
    """What hardly changes the layout and must not be in the way; files that the machine boots from."""
    args: list[str] = []
    for words, likely in (
        (("-serial", "null"), 0.06), (("-serial", "null", "-serial", "null"), 0.06), (("-serial", "none"), 0.02),
        (("-parallel", "none"), 0.02), (("-name", "sweep"), 0.03),
        (("-uuid", "12345678-1234-1234-1234-123456789abc"), 0.02),
        (("-rtc", "base=utc"), 0.03), (("-boot", "menu=on"), 0.02), (("-smbios", "type=1,product=sweep"), 0.03),
        (("-fw_cfg", "name=opt/org.test/one,string=1"), 0.05), (("-global", "virtio-mmio.force-legacy=false"), 0.04),
        (("-object", "rng-random,id=rng0,filename=/dev/urandom"), 0.03), (("-object", "iothread,id=io0"), 0.03),
        (("-no-reboot",), 0.02), (("-no-shutdown",), 0.02), (("-icount", "shift=1"), 0.01), (("-vga", "none"), 0.03),
        (("-accel", "tcg"), 0.05), (("-accel", "tcg,thread=single"), 0.02),
        (("-accel", "qtest"), 0.03 if label == "11.1" else 0.0),
        (("-usb",), 0.02), (("-semihosting",), 0.02), (("-d", "guest_errors"), 0.01),
        (("-overcommit", "mem-lock=off"), 0.01),
        (("-kernel", file_of(place, "kernel", 1 << 16)), 0.04), (("-vga", "std"), 0.02),
    ):  # fmt: skip
        lacks = label == "7.2" and target.startswith("riscv") and words[0] in ("-fw_cfg", "-smbios")
        if chance.random() < likely and not (lacks and (not wild or words[0] == "-smbios")):
            args += words
    if "-kernel" in args and chance.random() < 0.5:
        args += ["-append", "console=ttyAMA0", "-initrd", file_of(place, "initrd", 1 << 14)]
    while args.count("-accel") > 1:
        del args[args.index("-accel") : args.index("-accel") + 2]
    if "-icount" in args and "-accel" in args:
        del args[args.index("-icount") : args.index("-icount") + 2]
    if wild and chance.random() < 0.12:
        args += chance.choice((
            ("-initrd", "nosuch"), ("-kernel", "nosuch"), ("-dtb", "nosuch"), ("-append", "x"), ("-nosuch",),
            ("-fw_cfg", "name=x"), ("-object", "nosuch,id=o"), ("-global", "nosuch.x=1"), ("-accel", "nosuch"),
            ("-serial", "nosuch"), ("-uuid", "junk"), ("-boot", "nosuch=1"), ("-rtc", "base=junk"),
            ("-drive", "if=pflash,file=/nosuch"), ("-chardev", "nosuch,id=c"),
        ))  # fmt: skip
    return args


def file_of(place: str, name: str, size: int) -> str:
    """A file of zeros in *place*."""
    path = Path(place) / f"{name}-{size}.img"
    if not path.exists():
        with path.open("wb") as stream:
            stream.truncate(size)
    return str(path)
