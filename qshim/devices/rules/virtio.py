"""virtio over PCI: legacy and modern BARs, vectors, notification areas (spec/x86-boards.md 6.3)."""

from __future__ import annotations

from qshim.devices.errors import DeviceError
from qshim.devices.layout import Layout, RegionPlan, pow2_ceil
from qshim.devices.pci.bar import IO, MEM64, PREFETCH
from qshim.devices.pci.function import PciFunction
from qshim.devices.qdev import Device
from qshim.devices.rules.values import exclusive_msix, flag, size

__all__ = ["virtio_rule"]

LEGACY, MODERN = "virtio-pci[1]", "virtio-pci[0]"
NO_VECTORS = 0xFFFFFFFF
MOST_VECTORS = 2048
LEGACY_HEADER, LEGACY_HEADER_MSIX = 0x14, 0x18
QUEUES, PAGE = 1024, 0x1000
MODERN_ID = 0x1040

CONFIG_LENGTHS = {"virtio-blk": 0x60, "virtio-scsi": 0x24, "virtio-serial": 0xC}
"""Bytes of device configuration that the legacy BAR has room for; others by their recorded BAR."""


def _part(layout: Layout, kind: str) -> RegionPlan:
    """`virtio-pci-KIND-NAME`."""
    return next(r for r in layout.regions if r.name.startswith(f"virtio-pci-{kind}-"))


def _kind(layout: Layout) -> str:
    """`virtio-net`: what the regions are called after."""
    return _part(layout, "isr").plain[len("virtio-pci-isr-") :]


def virtio_rule(device: Device, layout: Layout) -> None:
    """Everything about BARs that properties of a virtio function change.

    :raises DeviceError: it would speak neither the legacy nor the modern protocol.
    """
    if not any(r.name.startswith("virtio-pci-isr-") for r in layout.regions):
        return
    kind = _kind(layout)
    can_legacy = layout.region(LEGACY) is not None
    plain = not layout.type_name.endswith(("-transitional",))
    modern = not (can_legacy and plain and flag(device, layout, "disable-modern", False))
    legacy = can_legacy and _legacy(device, layout, plain)
    # whether the type could do either at all is not looked at before that
    if plain and flag(device, layout, "disable-modern", False) and not _legacy(device, layout, plain):
        raise DeviceError(
            "device cannot work as neither modern nor legacy mode is enabled",
            hint="Set either disable-modern or disable-legacy to off",
        )
    _settle(device, can_legacy=can_legacy, legacy=legacy)
    vectors = _vectors(device, layout, kind)
    if device.board.has_msi or not vectors:
        exclusive_msix(layout, vectors, _msix_bar(layout, vga=layout.region("vga.vram") is not None))
    else:
        # the region is there, but nothing in it and no BAR in front of it
        vectors = 0
        device.properties["vectors"] = "0"
    _tell_queues(device, layout, kind)
    layout.lines = tuple(
        f"vectors = {vectors} (0x{vectors:x})" if line.startswith("vectors = ") else line for line in layout.lines
    )
    if device.text_of("rng"):
        for child in layout.children:
            child.layout.objects = [row for row in child.layout.objects if row[0] != "default-backend"]
    _host_memory(device, layout)
    vga = layout.region("vga.vram") is not None
    _config_vectors(layout, vectors)
    if can_legacy and not legacy:
        layout.drop(LEGACY)
        _be_modern(layout)
    elif legacy:
        if device.is_on("iommu_platform"):
            raise DeviceError("VIRTIO_F_IOMMU_PLATFORM was supported by neither legacy nor transitional device")
        _legacy_size(device, layout, kind, vectors)
    if not modern:
        # the BAR's region is there, of the size that it would have
        _notify(device, layout, vga)
        _drop_modern(layout)
        return
    _notify(device, layout, vga)
    _notify_by_port(device, layout, vga)


def _settle(device: Device, *, can_legacy: bool, legacy: bool) -> None:
    """What the properties read once it is decided."""
    if device.text_of("disable-legacy"):
        device.properties["disable-legacy"] = "off" if legacy else "on"
    if not can_legacy and device.text_of("disable-modern"):
        device.properties["disable-modern"] = "off"


def _legacy(device: Device, layout: Layout, plain: bool) -> bool:
    if not plain:
        return True
    text = device.text_of("disable-legacy") or "auto"
    if text == "auto":
        assert isinstance(device, PciFunction)
        bus = device.pci_bus
        return not (bus.express and not bus.is_root)
    return text in ("off", "false", "no", "n")


def _vectors(device: Device, layout: Layout, kind: str) -> int:
    """How many MSI-X vectors the function has."""
    table = layout.region("msix-table")
    recorded = 0 if table is None else table.size // 16
    text = device.text_of("vectors")
    if text:
        asked = device.number_of("vectors")
        if asked != NO_VECTORS:
            return asked if asked <= MOST_VECTORS else 0
    if kind in ("virtio-blk", "virtio-scsi"):
        return _queues(device, kind)[1] + (1 if kind == "virtio-blk" else 3)
    return recorded


def _queues(device: Device, kind: str) -> tuple[str, int]:
    """(property, value) of the number of queues: as many as CPUs unless told otherwise."""
    name = "num-queues" if kind == "virtio-blk" else "num_queues"
    queues = device.number_of(name, 0xFFFF)
    if name not in device.properties:
        # machine types say it of the part that has them
        told = device.board.global_value(f"{kind}-device", name)
        queues = queues if told is None else int(told, 0)
    return name, min(device.board.cpus, QUEUES) if queues in (0xFFFF, 0xFFFFFFFF) else queues


def _tell_queues(device: Device, layout: Layout, kind: str) -> None:
    """The number of queues as `info qtree` prints it of the part that has them."""
    if kind not in ("virtio-blk", "virtio-scsi"):
        return
    name, queues = _queues(device, kind)
    for child in layout.children:
        child.layout.lines = tuple(
            f"{name} = {queues} (0x{queues:x})" if line.startswith(f"{name} = ") else line
            for line in child.layout.lines
        )


def _msix_bar(layout: Layout, vga: bool) -> int:
    found = layout.region(f"{layout.type_name}-msix[0]")
    if found is not None and found.bar is not None:
        return found.bar
    return 4 if vga else 1


def _config_vectors(layout: Layout, vectors: int) -> None:
    """The capability tells how many there are."""
    assert layout.pci is not None
    config, at = layout.pci.config, layout.pci.config[0x34]
    while at:
        if config[at] == 0x11 and vectors:
            config[at + 2 : at + 4] = (vectors - 1).to_bytes(2, "little")
        at = config[at + 1]


def _be_modern(layout: Layout) -> None:
    """Identity of a function without the legacy interface."""
    assert layout.pci is not None
    config = layout.pci.config
    number_of_type = int.from_bytes(config[0x2E:0x30], "little")
    config[0x02:0x04] = (MODERN_ID + number_of_type).to_bytes(2, "little")
    config[0x2E:0x30] = (0x1100).to_bytes(2, "little")
    config[0x08] = 1


def _legacy_size(device: Device, layout: Layout, kind: str, vectors: int) -> None:
    plan = layout.at(LEGACY)
    header = LEGACY_HEADER_MSIX if vectors else LEGACY_HEADER
    if kind == "virtio-net":
        # with several queues their greatest number is told, too
        length = 12 if flag(device, layout, "mq", False) else 8
        plan.size = pow2_ceil(header + length)
    elif kind == "virtio-9p":
        plan.size = pow2_ceil(header + 2 + len(device.text_of("mount_tag")))
    elif kind == "virtio-balloon":
        plan.size = max(pow2_ceil(header + _balloon_config(device)), 0x20)
    elif kind in CONFIG_LENGTHS:
        plan.size = max(pow2_ceil(header + CONFIG_LENGTHS[kind]), 0x20)


def _balloon_config(device: Device) -> int:
    """Bytes of a balloon's configuration: each of its later features adds to it."""

    def has(name: str, default: bool) -> bool:
        text = device.properties.get(name) or device.board.global_value("virtio-balloon-device", name)
        return default if text is None else text in ("on", "true", "yes", "y")

    if has("qemu-4-0-config-size", False) or has("page-poison", True):
        return 0x10
    return 0xC if has("free-page-hint", False) else 8


def _drop_modern(layout: Layout) -> None:
    for part in ("common", "isr", "device", "notify"):
        for plan in [r for r in layout.regions if r.name.startswith(f"virtio-pci-{part}-")]:
            layout.drop(plan.name)
    bar = layout.at(MODERN).bar
    if bar is not None:
        layout.drop_bar(bar)


def _notify(device: Device, layout: Layout, vga: bool) -> None:
    """With a page for each queue the notification area is 4 MiB."""
    if not flag(device, layout, "page-per-vq", False):
        return
    notify, whole = _part(layout, "notify"), layout.at(MODERN)
    if notify.plain.startswith("virtio-pci-notify-pio"):
        notify = next(r for r in layout.regions if r.name.startswith("virtio-pci-notify-") and "-pio-" not in r.name)
    notify.size = PAGE * QUEUES
    whole.size = pow2_ceil(notify.addr + notify.size)
    if vga:
        # the parts keep their full sizes and end where the area of the queues begins
        at = whole.size - notify.size
        notify.addr = at
        for part in ("device", "isr", "common"):
            plan = _part(layout, part)
            plan.size = PAGE
            at -= PAGE
            plan.addr = at


def _notify_by_port(device: Device, layout: Layout, vga: bool) -> None:
    """A port as a second way to notify."""
    if not flag(device, layout, "modern-pio-notify", False):
        return
    layout.add(RegionPlan("virtio-pci-io[0]", 4, "container", f"@bar{5 if vga else 2}", 0, 1), bar_kind=IO)
    _part(layout, "notify-pio").container = "virtio-pci-io[0]"
    if device.board.quirks.pci_bridge_spaces:
        layout.spaces.append(("virtio-pci-cfg-io-as", "virtio-pci-io[0]"))


def _host_memory(device: Device, layout: Layout) -> None:
    """virtio-gpu's window for host memory takes BAR 4."""
    amount = size(device, layout, "hostmem")
    if not amount or layout.pci is None:
        return
    msix, modern = layout.region(f"{layout.type_name}-msix[0]"), layout.at(MODERN)
    for plan, bar in ((msix, 1), (modern, 2)):
        if plan is not None and plan.bar is not None and plan.bar != bar:
            kind = layout.pci.kinds[plan.bar]
            layout.drop_bar(plan.bar)
            plan.container, plan.priority = f"@bar{bar}", 1
            layout.pci.kinds[bar] = kind
    backend = next((child for child in layout.children if child.name == "virtio-backend"), None)
    if backend is not None:
        plan = RegionPlan("virtio-gpu-hostmem[0]", amount, "container", "@bar4", 0, 1)
        backend.layout.regions.append(plan)
        layout.pci.kinds[4] = MEM64 | PREFETCH
