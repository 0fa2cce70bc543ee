"""What device types need on the command line to start, and where: used by record_devices.py."""

from __future__ import annotations

from fnmatch import fnmatch

__all__ = ["BOARD_ARGS", "VIRT", "Setting", "settings"]

Setting = tuple[str, str, tuple[str, ...]]
"""(-M value, properties of the device, further arguments in front of it)."""

MEM = ("-object", "memory-backend-ram,id=mb0,size=64M")
DISK = ("-blockdev", "null-co,node-name=nd0,read-zeroes=on,size=67108864")
SOUND = ("-audiodev", "none,id=au0")
CAN = ("-object", "can-bus,id=can0")
CHAR = ("-chardev", "null,id=c0")
BMC = ("-device", "ipmi-bmc-sim,id=bmc0")
XHCI = ("-device", "qemu-xhci,id=hostx")
SLOTS = ("-m", "128M,slots=4,maxmem=1G")
CXL_PORT = ("-device", "pxb-cxl,id=cx,bus=pcie.0,bus_nr=12", "-device", "cxl-rp,id=rp0,bus=cx,chassis=0,slot=2")

BOARD_ARGS = ("-nodefaults", "-S", "-accel", "tcg", "-display", "none")

# the first pattern that matches a type decides
NEEDS: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    ("AC97", "q35", "audiodev=au0", SOUND),
    ("ES1370", "q35", "audiodev=au0", SOUND),
    ("acpi-erst", "q35", "memdev=mb0", MEM),
    ("adlib", "q35", "audiodev=au0", SOUND),
    ("cs4231a", "q35", "audiodev=au0", SOUND),
    ("gus", "q35", "audiodev=au0", SOUND),
    ("sb16", "q35", "audiodev=au0", SOUND),
    ("usb-audio", "q35", "audiodev=au0", SOUND + XHCI),
    ("hda-*", "q35", "audiodev=au0", (*SOUND, "-device", "intel-hda,id=hda")),
    ("virtio-sound-pci", "q35", "audiodev=au0", SOUND),
    ("virtio-sound-device", "microvm", "audiodev=au0", SOUND),
    ("ccid-card-passthru", "q35", "chardev=c0", (*CHAR, *XHCI, "-device", "usb-ccid")),
    ("ccid-card-emulated", "q35", "", (*XHCI, "-device", "usb-ccid")),
    ("ctucan_pci", "q35", "canbus0=can0,canbus1=can0", CAN),
    ("mioe3680_pci", "q35", "canbus0=can0,canbus1=can0", CAN),
    ("pcm3680_pci", "q35", "canbus0=can0,canbus1=can0", CAN),
    ("kvaser_pci", "q35", "canbus=can0", CAN),
    (
        "cxl-type3",
        "q35,cxl=on",
        "bus=rp0,persistent-memdev=mb0,lsa=lsa",
        (*MEM, "-object", "memory-backend-ram,id=lsa,size=1M", *CXL_PORT),
    ),
    ("cxl-rp", "q35,cxl=on", "bus=cx,chassis=0,slot=2", CXL_PORT[:2]),
    ("cxl-upstream", "q35,cxl=on", "bus=rp0", CXL_PORT),
    ("cxl-downstream", "q35,cxl=on", "bus=up,chassis=1,slot=3", (*CXL_PORT, "-device", "cxl-upstream,bus=rp0,id=up")),
    ("pxb-cxl", "q35,cxl=on", "bus=pcie.0,bus_nr=12", ()),
    ("emmc", "q35", "drive=nd0", (*DISK, "-device", "sdhci-pci")),
    ("sd-card*", "q35", "drive=nd0", (*DISK, "-device", "sdhci-pci")),
    ("floppy", "pc", "", ()),
    ("hv-balloon", "q35", "", ("-device", "vmbus-bridge")),
    ("hv-syndbg", "q35", "", ("-device", "vmbus-bridge")),
    ("ide-cf", "q35", "drive=nd0", DISK),
    ("ide-hd", "q35", "drive=nd0", DISK),
    ("ipmi-bmc-extern", "q35", "chardev=c0", CHAR),
    ("ipoctal232", "q35", "", ("-device", "tpci200")),
    ("isa-debugcon", "q35", "chardev=c0", CHAR),
    ("isa-parallel", "q35", "chardev=c0", CHAR),
    ("isa-ipmi-*", "q35", "bmc=bmc0", BMC),
    ("pci-ipmi-*", "q35", "bmc=bmc0", BMC),
    ("smbus-ipmi", "q35", "bmc=bmc0", BMC),
    ("ivshmem-plain", "q35", "memdev=mb0", MEM),
    ("loader", "q35", "addr=0x100000,data=1,data-len=4", ()),
    ("nvdimm", "q35,nvdimm=on", "memdev=mb0", SLOTS + MEM),
    ("pc-dimm", "q35", "memdev=mb0", SLOTS + MEM),
    ("sp-mem", "q35", "memdev=mb0", (*SLOTS, *MEM)),
    ("nvme", "q35", "serial=x", ()),
    ("nvme-ns", "q35", "drive=nd0", (*DISK, "-device", "nvme,serial=x,id=nv")),
    ("ufs", "q35", "serial=x", ()),
    ("ufs-lu", "q35", "drive=nd0,lun=0", (*DISK, "-device", "ufs,serial=x,id=uf")),
    ("pci-bridge", "q35", "chassis_nr=1", ()),
    ("pci-bridge-seat", "q35", "chassis_nr=1", ()),
    ("pcie-root-port", "q35", "chassis=1,slot=1", ()),
    ("ioh3420", "q35", "chassis=1,slot=1", ()),
    ("xio3130-downstream", "q35", "bus=up,chassis=1,slot=1", ("-device", "x3130-upstream,id=up")),
    ("pxb", "pc", "bus_nr=32", ()),
    ("pxb-pcie", "q35", "bus_nr=32", ()),
    ("scsi-hd", "q35", "drive=nd0", (*DISK, "-device", "virtio-scsi-pci")),
    ("scsi-cd", "q35", "", ("-device", "virtio-scsi-pci")),
    ("tpm-*", "q35", "tpmdev=tp0", ()),
    ("usb-storage", "q35", "drive=nd0", DISK + XHCI),
    ("usb-serial", "q35", "chardev=c0", CHAR + XHCI),
    ("usb-braille", "q35", "chardev=c0", CHAR + XHCI),
    ("usb-redir", "q35", "chardev=c0", CHAR + XHCI),
    ("usb-mtp", "q35", "rootdir=/tmp", XHCI),
    ("usb-hub", "q35", "", ("-device", "ich9-usb-uhci1")),
    ("usb-ehci", "q35", "", ()),
    ("usb-host", "q35", "", XHCI),
    ("usb-*", "q35", "", XHCI),
    ("u2f-*", "q35", "", XHCI),
    ("virtconsole", "q35", "chardev=c0", (*CHAR, "-device", "virtio-serial-pci")),
    ("virtserialport", "q35", "", ("-device", "virtio-serial-pci")),
    ("virtio-9p-pci*", "q35", "fsdev=fs0,mount_tag=t", ("-fsdev", "local,id=fs0,path=/tmp,security_model=none")),
    ("virtio-9p-device", "microvm", "fsdev=fs0,mount_tag=t", ("-fsdev", "local,id=fs0,path=/tmp,security_model=none")),
    ("virtio-blk-pci*", "q35", "drive=nd0", DISK),
    ("virtio-blk-device", "microvm", "drive=nd0", DISK),
    ("virtio-crypto-pci", "q35", "cryptodev=cb0", ("-object", "cryptodev-backend-builtin,id=cb0")),
    ("virtio-crypto-device", "microvm", "cryptodev=cb0", ("-object", "cryptodev-backend-builtin,id=cb0")),
    ("virtio-mem-pci", "q35", "memdev=mb0", SLOTS + MEM),
    ("virtio-mem", "microvm", "memdev=mb0", MEM),
    ("virtio-pmem-pci", "q35", "memdev=mb0", SLOTS + MEM),
    ("virtio-pmem", "microvm", "memdev=mb0", MEM),
    ("virtio-*-device", "microvm", "", ()),
    ("vhost-*-device", "microvm", "", ()),
    ("vmmouse", "q35", "i8042=/machine/unattached/device[8]", ()),
)


VIRT = "virt"
_FIRMWARE = ("-bios", "{firmware}", "-cpu", "max")
"""What lets the arm board plug DIMMs."""


def settings(name: str, target: str = "x86_64") -> list[Setting]:
    """Command lines to try for type *name*, the plain one on the usual board first."""
    found: list[Setting] = []
    for pattern, machine, properties, extra in NEEDS:
        if fnmatch(name, pattern):
            found.append((machine, properties, extra))
            break
    if target in ("x86_64", "i386"):
        return [("q35", "", ()), *found, ("pc", "", ()), ("microvm", "", ())]
    dimm = name in ("pc-dimm", "nvdimm") and target == "aarch64"
    return [(VIRT, "", ())] + [
        (",".join([VIRT, *machine.split(",")[1:]]), properties, (*_FIRMWARE, *extra) if dimm else extra)
        for machine, properties, extra in found
    ]
