"""Display adapters: video memory and optional register blocks (spec/x86-boards.md 6.3, 6.5)."""

from __future__ import annotations

from qshim.devices.errors import DeviceError
from qshim.devices.layout import Layout, pow2_ceil
from qshim.devices.pci.bar import MEM, MEM64, PREFETCH
from qshim.devices.qdev import Device
from qshim.devices.rules.values import flag, number, size

__all__ = ["ati_rule", "bochs_rule", "cirrus_rule", "qxl_rule", "vga_rule", "vmware_rule"]

MIB = 1 << 20
LEAST_BOCHS = 4 * MIB
RAGE_APERTURE, RV100_APERTURE = 64 * MIB, 128 * MIB


def _video_memory(device: Device, layout: Layout) -> int:
    """Property vgamem_mb, brought to a power of two between 1 and 512 MiB."""
    recorded = layout.region("vga.vram")
    asked = number(device, layout, "vgamem_mb", 16 if recorded is None else recorded.size // MIB)
    return pow2_ceil(min(max(asked, 1), 512)) * MIB


def vga_rule(device: Device, layout: Layout) -> None:
    """Standard VGA: memory size, and parts that can be switched off."""
    vram = layout.region("vga.vram")
    if vram is not None:
        vram.size = _video_memory(device, layout)
        if flag(device, layout, "global-vmstate", False):
            vram.block = "vga.vram"
    if not flag(device, layout, "mmio"):
        layout.drop("vga ioports remapped", "bochs dispi interface", "qemu extended regs", "edid", "vga.mmio")
    if not flag(device, layout, "qemu-extended-regs"):
        layout.drop("qemu extended regs")
    if not flag(device, layout, "edid"):
        layout.drop("edid")
        _no_resolution(device, layout)


def bochs_rule(device: Device, layout: Layout) -> None:
    """bochs-display: its memory is a size in bytes.

    :raises DeviceError: less than 4 MiB.
    """
    amount = size(device, layout, "vgamem", 16 * MIB)
    if amount < LEAST_BOCHS:
        raise DeviceError("bochs-display: video memory too small", hint="")
    layout.at("bochs-display-vram").size = pow2_ceil(amount)
    if not flag(device, layout, "edid"):
        layout.drop("edid")
        _no_resolution(device, layout)


def _no_resolution(device: Device, layout: Layout) -> None:
    """Without EDID nothing is preferred."""
    if layout.type_name.startswith("virtio"):
        return
    unset = tuple(f"{name} = " for name in ("xres", "yres") if not device.text_of(name))
    layout.lines = tuple(
        f"{line.partition(' = ')[0]} = 0 (0x0)" if unset and line.startswith(unset) else line for line in layout.lines
    )


def cirrus_rule(device: Device, layout: Layout) -> None:
    """Cirrus: 4, 8 or 16 MiB.

    :raises DeviceError: any other amount.
    """
    amount = number(device, layout, "vgamem_mb", 4)
    if amount not in (4, 8, 16):
        raise DeviceError(f"Invalid cirrus_vga ram size '{amount}'")
    layout.at("vga.vram").size = amount * MIB
    linear = layout.region("cirrus-linear-io")
    if linear is not None:
        linear.size = amount * MIB


def ati_rule(device: Device, layout: Layout) -> None:
    """ATI: rv100 is another function; newer ones show memory through an aperture."""
    amount = _video_memory(device, layout)
    newer = device.text_of("model") == "rv100"
    if newer and layout.pci is not None:
        layout.pci.config[0x02:0x04] = (0x5159).to_bytes(2, "little")
    aperture = layout.region("ati-linear-aperture0")
    if aperture is not None:
        aperture.size = RV100_APERTURE if newer else RAGE_APERTURE
    layout.at("vga.vram").size = amount


def qxl_rule(device: Device, layout: Layout) -> None:
    """qxl: three memories, of which the last may have a 64-bit BAR as well.

    :raises DeviceError: a revision that there is not.
    """
    revision = number(device, layout, "revision", 5)
    if not 1 <= revision <= 5:
        raise DeviceError(f"Invalid revision {revision} for qxl device (max 5)")
    vgamem = pow2_ceil(max(number(device, layout, "vgamem_mb", 16), 8)) * MIB
    ram = _megabytes(device, layout, "ram_size_mb", "ram_size")
    vram32 = max(_megabytes(device, layout, "vram_size_mb", "vram_size"), 4096)
    vram = max(_megabytes(device, layout, "vram64_size_mb", ""), vram32)
    if revision == 1:
        vram32 = vram = 4096
    primary = layout.region("qxl.vgavram") or layout.at("vga.vram")
    primary.size = pow2_ceil(max(ram, 2 * vgamem))
    layout.at("qxl.vram").size = pow2_ceil(vram)
    layout.at("qxl.vram32").size = pow2_ceil(vram32)
    if vram > vram32:
        whole = layout.at("qxl.vram")
        whole.container, whole.priority = "@bar4", 1
        if layout.pci is not None:
            layout.pci.kinds[4] = MEM | MEM64 | PREFETCH
    layout.at("qxl-ioports").size = {1: 8, 2: 16}.get(revision, 32)
    if layout.pci is not None:
        layout.pci.config[0x08] = min(revision, 5)


def _megabytes(device: Device, layout: Layout, name: str, bytes_name: str) -> int:
    """A size given in MiB, else in bytes."""
    asked = number(device, layout, name, -1)
    if asked not in (-1, 0xFFFFFFFF):
        return asked * MIB
    return number(device, layout, bytes_name, 0) if bytes_name else 0


def vmware_rule(device: Device, layout: Layout) -> None:
    """vmware-svga: only its memory."""
    layout.at("vga.vram").size = _video_memory(device, layout)
