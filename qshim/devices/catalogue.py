"""The device catalogue: what was recorded of each type of real QEMU, and devices made from it.

`instantiate` makes any device the catalogue knows and puts it on the board. Types whose layout
depends on properties have rules in qshim.devices.rules; types whose registers move memory have
classes in qshim.devices.chipset.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from qshim.devices.board import Board
from qshim.devices.build import build_buses, build_objects, build_regions, next_name, outside, place_of
from qshim.devices.errors import DeviceError
from qshim.devices.layout import Layout
from qshim.devices.pci.bridge import PciBridge
from qshim.devices.pci.function import PciFunction
from qshim.devices.properties import check_properties
from qshim.devices.qdev import Bus, Device
from qshim.devices.recorded import catalogue
from qshim.memory import MemoryRegion
from qshim.qom import QomObject

__all__ = [
    "CatalogueBridge", "CatalogueDevice", "CatalogueFunction", "check_class", "create", "instantiate",
]  # fmt: skip


RECORDED_PATH = "/machine/peripheral/dut"
"""Where a device was in the object tree when it was recorded."""


def _rename(device: Device, layout: Layout) -> None:
    """Let paths in what `info qtree` says begin with the place of this device."""
    if not any(RECORDED_PATH in line for line in layout.lines):
        return
    here: QomObject = device
    while isinstance(here.parent, Device):
        here = here.parent
    layout.lines = tuple(line.replace(RECORDED_PATH, here.path or "") for line in layout.lines)


class _Made:
    """What devices made from a layout have in common."""

    layout: Layout
    made: Mapping[str, MemoryRegion]
    apart: list[Device]
    """Devices that came with it and hang below /machine/unattached."""

    def build(self: Any) -> None:
        """Make everything that the layout says."""
        from qshim.devices.rules import tailor

        device: Device = self
        layout = tailor(device, self.layout)
        self.layout = layout
        _rename(device, layout)
        self.prepare(layout)
        self.made = {}
        self.apart = []
        types = device.board.types

        def kind_of(name: str) -> str:
            return name if types is None else types.family(name, "bus")

        build_buses(device, layout, kind_of)
        for child in layout.children:
            made = _made(device.board, child.layout, None, None)
            if isinstance(made, PciFunction) and made.is_virtual and child.addr is not None:
                made.properties["addr"] = f"{child.addr >> 3:x}.{child.addr & 7}"
            if child.apart:
                self.apart.append(device.board.plug(made, place_of(device, child)))
                continue
            if child.on_bus is not None:
                bus = device.buses[child.on_bus]
                device.board.plug(made, bus, parent=bus, name=child.name.partition("/")[2])
                continue
            if child.addr is not None and isinstance(device, PciFunction):
                made.properties["addr"] = f"{device.devfn >> 3:x}.{child.addr & 7}"
                if device.multifunction:
                    made.properties.setdefault("multifunction", "off")
            device.board.plug(made, place_of(device, child), parent=device, name=child.name)
        self.made = build_regions(device, layout)
        build_objects(device, layout)
        for path, kind in layout.unattached:
            if "/" not in path and kind == "irq":
                device.board.unattached.add_numbered(path.rpartition("[")[0], QomObject(kind))

    def prepare(self, layout: Layout) -> None:
        """Last changes to *layout* by the type's own class, such as ops of registers."""

    def spaces_of(self: Any) -> None:
        """Make the address spaces that the layout says."""
        for name, root in self.layout.spaces:
            made = self.made.get(root)
            self.spaces.append(self.board.space(outside(self, root) if made is None else made, name))


class CatalogueDevice(_Made, Device):
    """A device that is on no PCI bus."""

    def __init__(
        self, board: Board, layout: Layout, *, device_id: str | None, properties: Mapping[str, str] | None
    ) -> None:
        super().__init__(board, layout.type_name, device_id=device_id, properties=properties)
        self.layout = layout
        self.spaces: list[Any] = []

    def realize(self) -> None:
        """Make regions, buses, children."""
        self.build()
        self.spaces_of()

    def unrealize(self) -> None:
        """Take everything away."""
        _unplug_children(self)
        for space in self.spaces:
            space.destroy()
        self.spaces.clear()
        self.drop_regions()


class CatalogueFunction(_Made, PciFunction):
    """A PCI function."""

    def __init__(
        self, board: Board, layout: Layout, *, device_id: str | None, properties: Mapping[str, str] | None
    ) -> None:
        super().__init__(board, layout.type_name, device_id=device_id, properties=properties)
        self.layout = layout

    def fill_config(self) -> None:
        """As recorded."""
        from qshim.devices.rules import tailor_early

        self.layout = tailor_early(self, self.layout)
        pci = self.layout.pci
        if pci is None:
            super().fill_config()
            return
        size = len(pci.config)
        self._saved_multifunction = bool(pci.config[0x0E] & 0x80)
        self.config = bytearray(pci.config)
        self.config[0x0E] &= 0x7F
        self.mask, self.clear_mask = bytearray(pci.mask), bytearray(pci.clear)
        assert len(self.mask) == len(self.clear_mask) == size

    def make(self) -> None:
        """Make regions and BARs."""
        self.build()
        self.map_bars()
        self.spaces_of()

    def map_bars(self) -> None:
        """Put the regions of the layout behind their BARs."""
        layout = self.layout
        if layout.pci is None:
            return
        for index, kind in sorted(layout.pci.kinds.items()):
            region = self._behind(layout, index)
            if region is not None:
                self.register_bar(index, kind, region)

    def _behind(self, layout: Layout, index: int) -> MemoryRegion | None:
        plan = layout.behind(index)
        if plan is not None:
            return self.made[plan.name]
        for child in self.children.values():
            if isinstance(child, CatalogueDevice):
                plan = child.layout.behind(index)
                if plan is not None:
                    return child.made[plan.name]
        return None

    def unrealize(self) -> None:
        """Take everything away."""
        _unplug_children(self)
        super().unrealize()


class CatalogueBridge(CatalogueFunction, PciBridge):
    """A PCI bridge or port."""

    def secondary_bus(self) -> tuple[str, str]:
        """The one bus of the layout."""
        for name, kind in self.layout.buses:
            if self.board.descends(kind, "PCI") or kind in ("PCI", "PCIE", "CXL"):
                if self.id is not None:
                    return kind, self.id
                return kind, next_name(self.board, kind) if name.startswith("{id}") else name
        return super().secondary_bus()

    def make(self) -> None:
        """Make the bus and its windows, then the rest."""
        PciBridge.make(self)
        kind = self.secondary.type_name
        self.layout.buses = [(name, other) for name, other in self.layout.buses if other != kind]
        CatalogueFunction.make(self)

    def unrealize(self) -> None:
        """Take windows, bus and regions away."""
        _unplug_children(self)
        PciBridge.unrealize(self)


def _unplug_children(device: Device) -> None:
    if isinstance(device, PciFunction) and device.bus_master is not None:
        # what it shows may be a child's region
        device.drop_region(device.bus_master)
        device.bus_master = None
    made = getattr(device, "made", {})
    for plan in device.layout.regions if isinstance(device, _Made) else ():
        if plan.kind == "backend" and plan.name in made:
            region, backend = made[plan.name], device.board.backends[plan.target]
            if region.container is not None:
                region.container.del_subregion(region)
            backend.mapped = False
            if plan.block is not None and region.ram_block is not None:
                device.board.topology.ram.unregister(region.ram_block)
    for other in reversed(getattr(device, "apart", ())):
        if other.realized:
            device.board.unplug(other)
    inside = [*device.children.values(), *(node for bus in device.buses for node in bus.children.values())]
    for child in inside:
        if isinstance(child, Device) and child.realized:
            device.board.unplug(child)


def _made(board: Board, layout: Layout, device_id: str | None, properties: Mapping[str, str] | None) -> Device:
    from qshim.devices.chipset import class_of

    kind = class_of(layout.type_name)
    if kind is None:
        if layout.pci is None:
            kind = CatalogueDevice
        else:
            kind = CatalogueBridge if layout.pci.config[0x0E] & 0x7F == 1 else CatalogueFunction
    made: Device = kind(board, layout, device_id=device_id, properties=properties)
    return made


def create(
    board: Board,
    type_name: str,
    *,
    device_id: str | None = None,
    properties: Mapping[str, str] | None = None,
    machine: str | None = None,
) -> Device:
    """A device of *type_name*, not plugged in; *machine* says whose own device it is (`pc`, `q35`), if it is one.

    :raises DeviceError: the catalogue does not know the type, or QEMU did not start it either.
    """
    known = catalogue(board.quirks.label, board.target)
    entry = None if known is None else known.entry(type_name, machine)
    if entry is None:
        raise DeviceError(f"'{type_name}' is not a valid device model name")
    if machine is None:
        check_properties(board, type_name, properties or {})
    lacking = None
    try:
        if machine is None:
            _refuse(board, type_name, device_id, properties or {}, entry)
    except DeviceError as error:
        if "f" not in entry:
            raise
        lacking = error
    device = _made(board, Layout.of(entry["f"]), device_id, properties)
    device.description = entry
    if isinstance(device, PciFunction):
        # the address comes first
        device.lacking = lacking
    elif lacking is not None:
        raise lacking
    return device


def check_class(board: Board, type_name: str) -> None:
    """Whether the board takes a system bus device of this type at all, which QEMU looks at first.

    :raises DeviceError: it does not.
    """
    known = catalogue(board.quirks.label, board.target)
    entry = None if known is None else known.entry(type_name)
    text = _failure(board, entry or {})
    if text is not None and "dynamic sysbus" in text:
        raise DeviceError(text.partition("\n")[0])


def _failure(board: Board, entry: Mapping[str, Any]) -> str | None:
    """What QEMU said to the type without properties on a board like this one; None: it started."""
    fails: Mapping[str, str] = entry.get("fails", {})
    return fails.get(board.family if board.family in ("pc", "q35", "microvm", "virt") else "q35")


def _refuse(
    board: Board, type_name: str, device_id: str | None, properties: Mapping[str, str], entry: Mapping[str, Any]
) -> None:
    """What QEMU said to the type without properties, if none of those is set that help it.

    :raises DeviceError: QEMU would say so.
    """
    fails: Mapping[str, str] = entry.get("fails", {})
    fail = _failure(board, entry)
    fail = entry.get("bare", fail) if fail is None or " bus found for " in fail else fail
    if fail is None and "f" in entry:
        return
    text, _, hint = (fail or next(iter(fails.values()), "")).partition("\n")
    lasting = "f" not in entry or "dynamic sysbus" in text
    if " bus found for " in text and "f" in entry:
        return
    if type_name == "guest-loader" and ("kernel" in properties or "initrd" in properties):
        raise DeviceError("Cannot modify FDT fields if the machine has none")
    if lasting or _lacks(board, type_name, entry.get("with", ""), properties):
        raise DeviceError(re.sub(r"\bdut\b", device_id or "(null)", text), hint=hint)


def _lacks(board: Board, type_name: str, needed: str, properties: Mapping[str, str]) -> bool:
    """None of the properties is set without which QEMU refused the type."""
    names = [word.partition("=")[0] for word in needed.split(",")]
    asked = [name for name in names if name not in ("bus", "slot", "chassis", "")]
    if type_name == "loader":
        asked.append("file")
    if any(name.endswith("-memdev") for name in asked):
        asked += [name for name in properties if name.endswith("memdev")]
    return bool(asked) and not any(n in properties or board.global_value(type_name, n) for n in asked)


def instantiate(
    board: Board,
    type_name: str,
    bus: Bus | None = None,
    device_id: str | None = None,
    properties: Mapping[str, str] | None = None,
    *,
    parent: QomObject | None = None,
    name: str | None = None,
    machine: str | None = None,
) -> Device:
    """Make a device of *type_name* with *properties*, plug it into *bus* and realize it.

    *parent* and *name* say where it hangs in the object tree; without them it becomes the next
    /machine/unattached/device[N].

    :raises DeviceError: unknown type, or QEMU would refuse, in its words.
    """
    device = create(board, type_name, device_id=device_id, properties=properties, machine=machine)
    return board.plug(device, bus, parent=parent, name=name)
