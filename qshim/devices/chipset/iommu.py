"""IOMMUs: the address spaces that stand between PCI functions and memory (spec/x86-boards.md 2.4, 6.5)."""

from __future__ import annotations

from qshim.devices.catalogue import CatalogueDevice
from qshim.devices.errors import DeviceError
from qshim.devices.layout import Layout
from qshim.devices.pci.bus import PciBus
from qshim.devices.pci.function import PciFunction
from qshim.memory import MemoryRegion
from qshim.qom import QomObject
from qshim.units import SPACE

__all__ = ["AmdIommu", "IntelIommu", "Iommu", "VirtioIommu"]

INTERRUPTS, INTERRUPT_SIZE = 0xFEE00000, 0x100000


class Iommu(CatalogueDevice):
    """Gives each function that appears on the first root bus its own view of memory."""

    keeps: tuple[str, ...] = ()
    """Regions of the recorded layout that are there whatever functions there are."""
    region_type = "iommu-memory-region"
    always: tuple[int, ...] = ()
    """Addresses that have a view although no function is there."""

    root_bus: PciBus | None = None

    def prepare(self, layout: Layout) -> None:
        """Leave out what was recorded of the functions of one machine."""
        layout.regions = [plan for plan in layout.regions if plan.plain in self.keeps]
        layout.objects = [row for row in layout.objects if row[1] != self.region_type]
        layout.spaces = []

    def realize(self) -> None:
        """Take over the root bus."""
        super().realize()
        self.roots: dict[tuple[int, int], MemoryRegion] = {}
        self.make_shared()
        bus = next((bus for bus in self.board.pci_buses if isinstance(bus, PciBus)), None)
        if bus is None:
            raise DeviceError(f"{self.type_name} needs a PCI bus, which {self.board.machine.type_name} does not have")
        bus.dma_root = self.view_of
        self.root_bus = bus
        for devfn in self.always:
            self.root_of(self.key_of(bus), devfn)

    def key_of(self, bus: PciBus) -> int:
        """What buses are told apart by."""
        return bus.order

    def make_shared(self) -> None:
        """Regions that all functions look at."""

    def view_of(self, function: PciFunction) -> MemoryRegion:
        """What *function* sees."""
        bus, devfn = function.requester
        return self.root_of(self.key_of(bus), devfn)

    def root_of(self, bus: int, devfn: int) -> MemoryRegion:
        """What the function *devfn* of a bus sees."""
        found = self.roots.get((bus, devfn))
        if found is None:
            found = self.roots[bus, devfn] = self.make_root(devfn)
        return found

    def make_root(self, devfn: int) -> MemoryRegion:
        """A new view."""
        raise NotImplementedError

    def translating(self, name: str, size: int = SPACE) -> MemoryRegion:
        """A region of *size* bytes that translates."""
        region = MemoryRegion.iommu(self.board.topology, name, size, owner=self)
        self.regions[region] = self.add_numbered(name, QomObject(self.region_type))
        return region

    def unrealize(self) -> None:
        """Functions see memory directly again."""
        if self.root_bus is not None:
            self.root_bus.dma_root = None
        super().unrealize()

    def add_space(self, root: MemoryRegion, name: str) -> None:
        """An address space more, which goes with the device."""
        self.spaces.append(self.board.space(root, name))


class IntelIommu(Iommu):
    """intel-iommu: untranslated until a guest enables it."""

    keeps = ("intel_iommu",)
    region_type = "intel-iommu-iommu-memory-region"

    def make_shared(self) -> None:
        """Memory and interrupts without DMA remapping."""
        board = self.board
        self.direct = board.container("vtd-nodmar", SPACE, self)
        self.interrupts = board.io("vtd-ir", INTERRUPT_SIZE, self)
        everything = board.alias("vtd-sys-alias", board.system, 0, SPACE, self)
        self.direct.add_subregion(everything, 0)
        self.direct.add_subregion(self.interrupts, INTERRUPTS, 1)

    def make_root(self, devfn: int) -> MemoryRegion:
        """A container with the direct view on and the translated one off."""
        board = self.board
        place = f"{devfn >> 3:02x}.{devfn & 7:x}"
        translated = self.translating(f"vtd-{place}-dmar")
        interrupts = board.alias("vtd-ir", self.interrupts, 0, INTERRUPT_SIZE, self)
        root = board.container(f"vtd-{place}", SPACE, self)
        self.add_space(root, "vtd-root")
        translated.add_subregion(interrupts, INTERRUPTS, 1)
        fault = board.io("vtd-no-ir", INTERRUPT_SIZE, self)
        fault.set_enabled(False)
        root.add_subregion(fault, INTERRUPTS, 2)
        direct = board.alias("vtd-nodmar", self.direct, 0, SPACE, self)
        translated.set_enabled(False)
        root.add_subregion(translated, 0)
        root.add_subregion(direct, 0)
        return root


class AmdIommu(Iommu):
    """amd-iommu: whether it translates from the start depends on the release."""

    keeps = ("amdvi-mmio",)
    region_type = "amd-iommu-iommu-memory-region"
    always = (0xA0,)

    def key_of(self, bus: PciBus) -> int:
        """In older releases by their numbers, which are all 0 before a guest gives them some."""
        return bus.number if self.board.quirks.amd_iommu_by_bus_number else bus.order

    def make_shared(self) -> None:
        """Memory and interrupts without DMA remapping, in releases that have them apart."""
        if not self.board.quirks.amd_iommu_has_views:
            return
        board = self.board
        self.direct = board.container("amdvi-sys", SPACE, self)
        everything = board.alias("amdvi-nodma", board.system, 0, SPACE, self)
        self.interrupts = board.io("amdvi-ir", INTERRUPT_SIZE, self)
        self.direct.add_subregion(everything, 0)
        self.direct.add_subregion(self.interrupts, INTERRUPTS, 1)

    def make_root(self, devfn: int) -> MemoryRegion:
        """A container with a translating region."""
        board, quirks = self.board, self.board.quirks
        translated = self.translating("amd_iommu")
        root = board.container("amdvi_root", SPACE, self)
        self.add_space(root, f"amd_iommu_devfn_{devfn}")
        if not quirks.amd_iommu_has_views:
            interrupts = board.io("amd_iommu_ir", INTERRUPT_SIZE, self)
            root.add_subregion(translated, 0, 1)
            root.add_subregion(interrupts, INTERRUPTS, 64)
            return root
        direct = board.alias("amdvi-sys", self.direct, 0, SPACE, self)
        interrupts = board.alias("amdvi-ir", self.interrupts, 0, INTERRUPT_SIZE, self)
        translated.add_subregion(interrupts, INTERRUPTS, 1)
        (translated if quirks.amd_iommu_starts_off else direct).set_enabled(False)
        root.add_subregion(translated, 0)
        root.add_subregion(direct, 0)
        return root


class VirtioIommu(Iommu):
    """virtio-iommu-device: bypassed until a driver comes."""

    region_type = "virtio-iommu-memory-region"

    def make_root(self, devfn: int) -> MemoryRegion:
        """A container, a translating region of the same name, and memory."""
        board = self.board
        name = f"virtio-iommu-memory-region-{len(self.roots)}-{devfn}"
        root = board.container(name, SPACE, self)
        self.add_space(root, "virtio-iommu-device")
        translated = self.translating(name)
        bypass = board.alias("system", board.system, 0, SPACE, self)
        translated.set_enabled(False)
        root.add_subregion(translated, 0)
        root.add_subregion(bypass, 0)
        return root
