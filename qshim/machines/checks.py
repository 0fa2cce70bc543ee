"""What QEMU refuses about devices that fit by themselves, but not beside each other."""

from __future__ import annotations

from qshim.devices.board import Board
from qshim.devices.errors import DeviceError
from qshim.devices.pci.function import PciFunction
from qshim.devices.qdev import Device
from qshim.errors import MemoryModelError

__all__ = ["check_beside", "check_controller", "check_singles"]

_DISPLAYS = ("VGA", "secondary-vga", "cirrus-vga", "qxl", "qxl-vga", "virtio-vga", "virtio-gpu-pci", "bochs-display",
             "vmware-svga", "ati-vga")  # fmt: skip
_PVPANIC = "etc/pvpanic-port"
_SHPC = ("pci-bridge", "pcie-pci-bridge", "pci-bridge-seat")
_GLOBAL_VRAM = ("VGA", "cirrus-vga", "qxl-vga", "vmware-svga", "ati-vga", "isa-vga")


def check_singles(board: Board, driver: str) -> None:
    """Devices of which there is only one, or which must come first.

    :raises DeviceError: another one is there.
    :raises MemoryModelError: the same, where QEMU ends at once.
    """
    if driver.startswith("virtio-balloon") and any(d.type_name.startswith("virtio-balloon") for d in board.devices):
        raise DeviceError("Only one balloon device is supported")
    if driver in _GLOBAL_VRAM and board.topology.ram.by_name("vga.vram") is not None and (
        board.global_value(driver, "global-vmstate") in ("on", "true")
    ):
        raise DeviceError("Only one global VGA device can be used at a time")
    if driver == "vmware-svga" and any(device.type_name == driver for device in board.devices):
        raise MemoryModelError('RAMBlock "vmsvga.fifo" already registered, abort!')
    if driver == "pvpanic":
        if _PVPANIC in board.fw_cfg_files:
            raise DeviceError(f"duplicate fw_cfg file name: {_PVPANIC}")
        board.fw_cfg_files.add(_PVPANIC)
    if driver == "qxl-vga" and any(device.type_name in _DISPLAYS for device in board.devices):
        raise DeviceError(
            "primary qxl-vga device must be console 0 (first display device on the command line)"
        )
    if (
        driver == "vmware-svga"
        and board.quirks.vga_state_is_unique
        and any(device.type_name in ("VGA", "secondary-vga") for device in board.devices)
    ):
        raise DeviceError(
            "savevm_state_handler_insert: Detected duplicate SaveStateEntry: id=vga, instance_id=0x0"
        )


def check_beside(board: Board, device: Device) -> None:
    """What only one device may have: a place in the boot order, a slot of a chassis of Express ports.

    :raises DeviceError: another one has it.
    """
    index = device.properties.get("bootindex", "")
    if index.isdecimal() and any(other.properties.get("bootindex") == index for other in board.devices):
        raise DeviceError(f"The bootindex {index} has already been used")
    place = _chassis_slot(device)
    if place is not None and any(_chassis_slot(other) == place for other in board.devices):
        raise DeviceError("Can't add chassis slot, error -16")


def _chassis_slot(device: Device) -> tuple[int, int] | None:
    """Chassis and slot of an Express port with a slot."""
    kinds = ("pcie-slot", "cxl-downstream")
    if not any(device.board.descends(device.type_name, kind) for kind in kinds):
        return None
    return device.number_of("chassis"), device.number_of("slot")


def check_controller(device: Device, acpi_hotplug: bool) -> None:
    """A bridge's standard hot-plug controller has no slot 0.

    :raises DeviceError: the device sits there.
    """
    if acpi_hotplug or not isinstance(device, PciFunction) or device.pci_bus.bridge is None:
        return
    bridge = device.pci_bus.bridge
    if bridge.type_name in _SHPC and bridge.is_on("shpc", True) and device.devfn < 8:
        raise DeviceError(
            "Unsupported PCI slot 0 for standard hotplug controller. Valid slots are between 1 and 31."
        )
