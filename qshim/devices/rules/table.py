"""Which types have rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from qshim.devices.layout import Layout
from qshim.devices.qdev import Device
from qshim.devices.rules import display, isa, others
from qshim.devices.rules.virtio import virtio_rule

__all__ = ["Rule", "rules_of"]

Rule = Callable[[Device, Layout], None]

RULES: dict[str, tuple[Rule, ...]] = {
    "VGA": (display.vga_rule,),
    "secondary-vga": (display.vga_rule,),
    "isa-vga": (display.vga_rule,),
    "virtio-vga": (display.vga_rule,),
    "bochs-display": (display.bochs_rule,),
    "cirrus-vga": (display.cirrus_rule,),
    "isa-cirrus-vga": (display.cirrus_rule,),
    "ati-vga": (display.ati_rule,),
    "qxl": (display.qxl_rule,),
    "qxl-vga": (display.qxl_rule,),
    "vmware-svga": (display.vmware_rule,),
    "isa-serial": (isa.serial_rule,),
    "isa-parallel": (isa.parallel_rule,),
    "isa-debug-exit": (isa.debug_exit_rule,),
    "i8257": (isa.dma_rule,),
    "cs4231a": (isa.needs_dma_rule,),
    "isa-fdc": (isa.needs_dma_rule,),
    "gus": (isa.needs_dma_rule,),
    "sb16": (isa.needs_dma_rule,),
    "qemu-xhci": (others.xhci_rule,),
    "nec-usb-xhci": (others.xhci_rule,),
    "nvme": (others.nvme_rule, others.persistent_rule),
    "ivshmem-plain": (others.shared_memory_rule,),
    "lsi53c810": (others.port_space_rule,),
    "lsi53c895a": (others.port_space_rule,),
    "virtio-mem": (others.transport_memory_rule,),
    "ide-cd": (others.disk_rule,),
    "ide-cf": (others.disk_rule,),
    "ide-hd": (others.disk_rule,),
    "virtio-iommu-device": (others.view_rule,),
    "i8042": (others.keyboard_rule,),
    "acpi-erst": (others.record_store_rule,),
    "megasas": (others.megasas_rule,),
    "megasas-gen2": (others.megasas_rule,),
    "vmxnet3": (others.vmxnet3_rule,),
    "pci-testdev": (others.testdev_rule,),
    "pci-bridge": (others.chassis_rule, others.shpc_rule),
    "pci-bridge-seat": (others.chassis_rule, others.shpc_rule),
    "pcie-pci-bridge": (others.shpc_rule,),
    "pcie-root-port": (others.slot_rule,),
    "ioh3420": (others.slot_rule,),
    "xio3130-downstream": (others.slot_rule,),
}
"""Type -> rules in the order they are applied."""


def rules_of(layout: Layout) -> Iterator[Rule]:
    """The rules for a device of *layout*."""
    yield from RULES.get(layout.type_name, ())
    if layout.type_name in isa.BASES:
        yield isa.bases_rule
    if layout.pci is not None and layout.region("virtio-pci[0]") is not None:
        yield virtio_rule
