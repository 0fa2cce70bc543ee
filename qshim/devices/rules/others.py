"""USB hosts, storage controllers, bridges and test devices (spec/x86-boards.md 6.3, 6.5)."""

from __future__ import annotations

from qshim.devices.errors import DeviceError
from qshim.devices.layout import Layout, RegionPlan, pow2_ceil
from qshim.devices.pci.bar import MEM, MEM64, PREFETCH
from qshim.devices.qdev import Device
from qshim.devices.rules.values import flag, msix_table, number, size

__all__ = [
    "chassis_rule",
    "disk_rule",
    "keyboard_rule",
    "megasas_rule",
    "nvme_rule",
    "persistent_rule",
    "port_space_rule",
    "record_store_rule",
    "shared_memory_rule",
    "shpc_rule",
    "slot_rule",
    "testdev_rule",
    "transport_memory_rule",
    "view_rule",
    "vmxnet3_rule",
    "xhci_rule",
]

PAGE = 0x1000
INTERRUPT_PIN = 0x3D
CAP_SLOT_ID, CAP_EXPRESS = 0x04, 0x10
XHCI_PORTS, XHCI_PORT = 0x440, 0x10
MIB = 1 << 20


def xhci_rule(device: Device, layout: Layout) -> None:
    """xHCI: ports, interrupters, slots, MSI-X."""
    core = next((child.layout for child in layout.children if child.name == "xhci-core"), layout)
    two, three = number(device, layout, "p2", 4), number(device, layout, "p3", 4)
    interrupters, slots = number(device, layout, "intrs", 16), number(device, layout, "slots", 64)
    ports = [plan for plan in core.regions if " port #" in plan.name]
    newer_first = any(plan.name.startswith("usb3") and plan.addr == XHCI_PORTS for plan in ports)
    core.regions = [plan for plan in core.regions if plan not in ports]
    names = [f"usb3 port #{n + 1}[0]" for n in range(three)]
    older = [f"usb2 port #{n + 1}[0]" for n in range(two)]
    for n, name in enumerate(names + older if newer_first else older + names):
        core.regions.append(RegionPlan(name, XHCI_PORT, "io", "xhci[0]", XHCI_PORTS + n * XHCI_PORT))
    core.at("runtime").size = 0x20 + 0x20 * interrupters
    core.at("doorbell").size = 0x20 * (slots + 1)
    if layout.region("msix-table") is not None:
        if device.text_of("msix", "auto") in ("off", "no"):
            layout.drop("msix-table", "msix-pba")
        else:
            msix_table(layout, interrupters, table=layout.at("msix-table"), pba=layout.at("msix-pba"))


def nvme_rule(device: Device, layout: Layout) -> None:
    """nvme: doorbells and vectors share BAR 0; a controller memory buffer and persistent memory have their own."""
    pairs, vectors = number(device, layout, "max_ioqpairs", 64), number(device, layout, "msix_qsize", 65)
    registers, table, pba = layout.at("nvme"), layout.at("msix-table"), layout.at("msix-pba")
    registers.size = -(-(PAGE + 8 * (pairs + 1)) // PAGE) * PAGE
    msix_table(layout, vectors, table=table, pba=pba)
    table.addr = registers.size
    pba.addr = -(-(table.addr + table.size) // PAGE) * PAGE
    layout.at("nvme-bar0").size = pow2_ceil(pba.addr + pba.size)
    buffer = number(device, layout, "cmb_size_mb", 0)
    if buffer:
        layout.add(RegionPlan("nvme-cmb[0]", buffer * MIB, "io", "@bar2", 0, 1), bar_kind=MEM | MEM64 | PREFETCH)
    if flag(device, layout, "use-intel-id", False) and layout.pci is not None:
        layout.pci.config[0:4] = bytes((0x86, 0x80, 0x45, 0x58))


def shared_memory_rule(device: Device, layout: Layout) -> None:
    """ivshmem-plain: BAR 2 is the memory backend."""
    name = device.text_of("memdev")
    backend = device.board.backends.get(name)
    if backend is None:
        raise DeviceError("You must specify a 'memdev'")
    layout.add(
        RegionPlan(f"{name}[]", backend.size, "backend", "@bar2", 0, 1, target=name, block=f"*/{name}"),
        bar_kind=MEM | MEM64 | PREFETCH,
    )


def disk_rule(device: Device, layout: Layout) -> None:
    """IDE drives are numbered by the place they have on all IDE buses together, which is their serial number."""
    if device.bus is None or device.text_of("serial"):
        return
    buses = [bus for other in device.board.devices for bus in other.buses if bus.kind == "IDE"]
    if device.bus in buses:
        unit = device.number_of("unit", len(device.bus.devices) - 1)
        serial = f"QM{2 * buses.index(device.bus) + unit + 1:05}"
        _replace_line(layout, "serial", f'"{serial}"')


def view_rule(device: Device, layout: Layout) -> None:
    """virtio-iommu: which bus it serves, and how wide addresses are where the machine type does not say."""
    buses = device.board.pci_buses
    if buses:
        _replace_line(layout, "primary-bus", f'"{buses[0].path}"')
    if device.board.family == "pc":
        _replace_line(layout, "aw-bits", "64 (0x40)")


def _replace_line(layout: Layout, name: str, value: str) -> None:
    """What `info qtree` says of a property."""
    layout.lines = tuple(f"{name} = {value}" if x.startswith(f"{name} = ") else x for x in layout.lines)


def transport_memory_rule(device: Device, layout: Layout) -> None:
    """virtio-mem and virtio-pmem on virtio-mmio: the backend is named after the transport, and nowhere mapped."""
    name = device.text_of("memdev")
    backend = device.board.backends.get(name)
    if backend is not None and device.bus is not None and device.bus.type_name == "virtio-mmio-bus":
        layout.add(RegionPlan(f"{name}[]", backend.size, "backend", target=name, block=f"*/{name}"))


def keyboard_rule(device: Device, layout: Layout) -> None:
    """i8042: on a board without an interrupt controller of its own for ISA, its lines are new ones."""
    if device.board.family == "microvm":
        layout.unattached += [("non-qdev-gpio[0]", "irq"), ("non-qdev-gpio[1]", "irq")]


def record_store_rule(device: Device, layout: Layout) -> None:
    """acpi-erst: its backend is used, but nowhere mapped."""
    name = device.text_of("memdev")
    backend = device.board.backends.get(name)
    if backend is not None:
        layout.add(RegionPlan(f"{name}[]", backend.size, "backend", target=name, block=name))


def persistent_rule(device: Device, layout: Layout) -> None:
    """nvme with persistent memory: BAR 4, not enabled."""
    name = device.text_of("pmrdev")
    backend = device.board.backends.get(name)
    if backend is None:
        return
    if backend.size & (backend.size - 1):
        raise DeviceError("pmr backend size needs to be power of 2 in size")
    layout.add(
        RegionPlan(f"{name}[]", backend.size, "backend", "@bar4", 0, 1, enabled=False, target=name),
        bar_kind=MEM | MEM64 | PREFETCH,
    )


def megasas_rule(device: Device, layout: Layout) -> None:
    """megasas: without MSI-X its table goes."""
    if device.text_of("use_msix", "auto") in ("off", "no"):
        layout.drop("msix-table", "msix-pba")


def vmxnet3_rule(device: Device, layout: Layout) -> None:
    """vmxnet3: pending bits were elsewhere once."""
    if flag(device, layout, "x-old-msi-offsets", False):
        layout.at("msix-pba").addr = 0x800


def testdev_rule(device: Device, layout: Layout) -> None:
    """pci-testdev: a BAR of any size, in newer releases with memory behind it."""
    amount = size(device, layout, "membar")
    if not amount:
        return
    kind = MEM | MEM64 | PREFETCH
    if flag(device, layout, "membar-backed", False):
        name = "pci-testdev-membar-backed"
        layout.add(RegionPlan(f"{name}[0]", pow2_ceil(amount), "ram", "@bar2", 0, 1), block=f"*/{name}", bar_kind=kind)
    else:
        layout.add(RegionPlan("pci-testdev-membar[0]", pow2_ceil(amount), "io", "@bar2", 0, 1), bar_kind=kind)


def port_space_rule(device: Device, layout: Layout) -> None:
    """lsi53c8xx: an address space on the ports of its bus."""
    del device
    layout.spaces.append(("lsi-pci-io", "@io"))


def shpc_rule(device: Device, layout: Layout) -> None:
    """Bridges with a standard hot-plug controller."""
    if layout.region("shpc-bar") is not None and not flag(device, layout, "shpc"):
        layout.drop("shpc-mmio", "shpc-bar")
        # without the controller there is nothing to interrupt for
        device.properties["msi"] = "off"
        if layout.pci is not None:
            layout.pci.config[INTERRUPT_PIN] = 0


def chassis_rule(device: Device, layout: Layout) -> None:
    """A bridge wants a chassis number.

    :raises DeviceError: it has none.
    """
    number_of_chassis = device.number_of("chassis_nr", 0)
    if not number_of_chassis:
        raise DeviceError(
            "Bridge chassis not specified. Each bridge is required to be assigned a unique chassis id > 0."
        )
    at = _capability(layout, CAP_SLOT_ID)
    if at and layout.pci is not None:
        layout.pci.config[at + 3] = number_of_chassis & 0xFF


def slot_rule(device: Device, layout: Layout) -> None:
    """PCI Express ports tell the number of their slot."""
    at = _capability(layout, CAP_EXPRESS)
    if at and layout.pci is not None and device.text_of("slot"):
        place = slice(at + 0x14, at + 0x18)
        rest = int.from_bytes(layout.pci.config[place], "little") & 0x7FFFF
        layout.pci.config[place] = (rest | (device.number_of("slot") & 0x1FFF) << 19).to_bytes(4, "little")


def _capability(layout: Layout, kind: int) -> int:
    """Where a capability is in recorded configuration space, 0: it is not there."""
    if layout.pci is None:
        return 0
    config, at = layout.pci.config, layout.pci.config[0x34]
    while at and config[at] != kind:
        at = config[at + 1]
    return at
