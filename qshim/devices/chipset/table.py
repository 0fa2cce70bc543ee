"""Which types have classes of their own."""

from __future__ import annotations

from typing import Any

from qshim.devices.arm.gic import GicV2, GicV3, GicV5
from qshim.devices.arm.smmu import SmmuV3
from qshim.devices.chipset.extra_root import Pxb
from qshim.devices.chipset.gpex import GpexHost
from qshim.devices.chipset.host import I440FXHost, Q35Host
from qshim.devices.chipset.i440fx import I440FX
from qshim.devices.chipset.igb import Igb, IgbVf
from qshim.devices.chipset.iommu import AmdIommu, IntelIommu, VirtioIommu
from qshim.devices.chipset.mch import Mch
from qshim.devices.chipset.south import Ich9Lpc, Ich9Smb, Piix4Pm
from qshim.devices.chipset.storage import DiskHolder, NvmeNamespace
from qshim.devices.chipset.usb import USB_CLASSES
from qshim.devices.chipset.vga import IsaVga, PciVga
from qshim.devices.memory.virtio import VirtioMem, VirtioPmem
from qshim.devices.riscv.iommu import RiscvIommu, RiscvIommuPci

__all__ = ["CLASSES"]

CLASSES: dict[str, Any] = {
    "arm_gic": GicV2,
    "arm-gicv3": GicV3,
    "arm-gicv5": GicV5,
    "arm-smmuv3": SmmuV3,
    "gpex-pcihost": GpexHost,
    "i440FX": I440FX,
    "i440FX-pcihost": I440FXHost,
    "q35-pcihost": Q35Host,
    "mch": Mch,
    "PIIX4_PM": Piix4Pm,
    "ICH9-LPC": Ich9Lpc,
    "ICH9-SMB": Ich9Smb,
    "virtio-mem-pci": VirtioMem,
    "virtio-pmem-pci": VirtioPmem,
    "VGA": PciVga,
    "amd-iommu": AmdIommu,
    "igb": Igb,
    "igbvf": IgbVf,
    "intel-iommu": IntelIommu,
    "isa-vga": IsaVga,
    "nvme-ns": NvmeNamespace,
    "pxb": Pxb,
    "riscv-iommu": RiscvIommu,
    "riscv-iommu-pci": RiscvIommuPci,
    "pxb-cxl": Pxb,
    "pxb-pcie": Pxb,
    "qxl-vga": PciVga,
    "virtio-iommu-device": VirtioIommu,
    "ufs-lu": DiskHolder,
    "virtio-vga": PciVga,
    "vmware-svga": PciVga,
    "ati-vga": PciVga,
    **USB_CLASSES,
}
