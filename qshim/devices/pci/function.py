"""PciFunction: configuration space, BARs, bus mastering and reset of a PCI function (spec/x86-boards.md 5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from qshim.devices.errors import DeviceError
from qshim.devices.pci.address import ANY, devfn_of, shown
from qshim.devices.pci.bar import IO, ROM_SLOT, Bar, bar_offset
from qshim.devices.pci.bus import PciBus
from qshim.devices.qdev import Device
from qshim.units import SPACE

if TYPE_CHECKING:
    from qshim.devices.board import Board
    from qshim.memory import AddressSpace, MemoryRegion

__all__ = ["PciFunction"]

COMMAND, STATUS = 0x04, 0x06
CACHE_LINE, LATENCY, HEADER = 0x0C, 0x0D, 0x0E
SUBSYSTEM = 0x2C
CAPABILITIES, INTERRUPT_LINE = 0x34, 0x3C
EXTENDED_TAGS = 0x20
"""A bit of what a function with the capability of Express can do."""
COMMAND_MASK = 0x0507
COMMAND_MASTER = 0x4
CAP_PM, CAP_MSI, CAP_EXPRESS, CAP_MSIX = 0x01, 0x05, 0x10, 0x11
MOST_ACPI_INDEX = 16383
CONFIG_SIZE, EXPRESS_CONFIG_SIZE = 0x100, 0x1000


class PciFunction(Device):
    """One function on a `PciBus`.

    Configuration space is `config`; a bit of it changes on a write where `mask` has it, and is
    cleared by writing 1 where `clear_mask` has it. Subclasses make their regions in `make` and watch
    registers in `config_written`.
    """

    is_bridge = False
    is_virtual = False
    """A virtual function (SR-IOV), which is there without function 0 of its slot."""

    def __init__(
        self,
        board: Board,
        type_name: str,
        *,
        device_id: str | None = None,
        properties: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(board, type_name, device_id=device_id, properties=properties)
        self.devfn = ANY
        self.config = bytearray(CONFIG_SIZE)
        self.mask = bytearray(CONFIG_SIZE)
        self.clear_mask = bytearray(CONFIG_SIZE)
        self.initial = b""
        """Configuration space as it is after a reset."""
        self.bars: dict[int, Bar] = {}
        self.lacking: DeviceError | None = None
        """Why it cannot be, though there is a place for it."""
        self.bus_master_container: MemoryRegion
        self.bus_master: MemoryRegion | None = None
        self.space: AddressSpace | None = None
        self.spaces: list[AddressSpace] = []
        """Address spaces of this function besides `space`."""
        self._saved_multifunction = False

    # --- what others ask ---

    @property
    def pci_bus(self) -> PciBus:
        """The bus it sits on."""
        assert isinstance(self.bus, PciBus)
        return self.bus

    @property
    def multifunction(self) -> bool:
        """Property `multifunction`."""
        return self.is_on("multifunction", self._saved_multifunction)

    @property
    def device_path(self) -> str:
        """QEMU's device path, which names RAM blocks (`0000:00:01.0:00.0`; 4)."""
        return f"{self.pci_bus.prefix}:{shown(self.devfn)}"

    @property
    def express(self) -> bool:
        """It has the PCI Express capability, and so 4096 bytes of configuration space."""
        return len(self.config) > CONFIG_SIZE

    def capability(self, kind: int) -> int:
        """Where the capability *kind* is in configuration space, 0 if it is not there."""
        at, seen = self.config[CAPABILITIES] & 0xFC, 0
        while at and seen < 48:
            if self.config[at] == kind:
                return at
            at, seen = self.config[at + 1] & 0xFC, seen + 1
        return 0

    # --- coming and going ---

    def realize(self) -> None:
        """Take an address, make configuration space, regions and the ROM."""
        self.check()
        self.check_acpi_index()
        text = self.text_of("addr")
        devfn = ANY if text in ("", "-1") else devfn_of(text, self.type_name)
        self.devfn = self.pci_bus.claim(self, devfn)
        if self.hotplugged:
            # an IOMMU has heard of it, whatever becomes of it
            self._dma_root()
        if self.lacking is not None:
            raise self.lacking
        self.fill_config()
        self._forget_extended_tags()
        if self.multifunction:
            self.config[HEADER] |= 0x80
        self.bus_master_container = self.board.container("bus master container", SPACE, self)
        self.space = self.board.space(self.bus_master_container, self.type_name)
        self.make()
        self.initial = bytes(self.config)

    def _forget_extended_tags(self) -> None:
        """Machine types of old do not say that they take long tags (`x-pcie-ext-tag`)."""
        if self.is_on("x-pcie-ext-tag", True):
            return
        at = self.capability(CAP_EXPRESS)
        if at:
            self.config[at + 4] &= ~EXTENDED_TAGS & 0xFF

    def check_acpi_index(self) -> None:
        """Whether its number is one that firmware can tell from others.

        :raises DeviceError: it is too large, or another function has it.
        """
        index = self.number_of("acpi-index")
        if index > MOST_ACPI_INDEX:
            raise DeviceError(f"acpi-index should be less or equal to {MOST_ACPI_INDEX}")
        watched = self.board.quirks.acpi_index_is_unique or self.board.target in ("x86_64", "i386")
        if index and watched and any(
            isinstance(other, PciFunction) and other.number_of("acpi-index") == index for other in self.board.devices
        ):
            raise DeviceError(f"a PCI device with acpi-index = {index} already exist")

    def check(self) -> None:
        """Refuse what cannot be before anything is made.

        :raises DeviceError: QEMU would.
        """

    def fill_config(self) -> None:
        """Identity and masks of configuration space: those of every function."""
        self.config[SUBSYSTEM : SUBSYSTEM + 4] = (0x11001AF4).to_bytes(4, "little")
        self.mask[COMMAND : COMMAND + 2] = COMMAND_MASK.to_bytes(2, "little")
        self.mask[CACHE_LINE] = self.mask[INTERRUPT_LINE] = 0xFF
        self.mask[0x40:] = b"\xff" * (len(self.mask) - 0x40)

    def make(self) -> None:
        """Make regions, BARs, buses and the ROM."""

    def machine_done(self) -> None:
        """Bus mastering starts to see memory (2.4): buses from the newest on, their functions by address."""
        if self.bus_master is not None:
            return
        if self.hotplugged:
            self.connect()
            return
        roots = [bus for bus in self.board.pci_buses if isinstance(bus, PciBus)]
        buses = {id(bus): bus for root in roots for bus in root.walk()}
        for bus in sorted(buses.values(), key=lambda bus: -bus.order):
            for devfn in sorted(bus.slots):
                bus.slots[devfn].connect()

    def connect(self) -> None:
        """Let bus mastering see memory, or what an IOMMU shows of it."""
        if self.bus_master is not None:
            return
        root = self._dma_root()
        self.bus_master = self.board.alias("bus master", root, 0, root.size, self)
        self.bus_master.set_enabled(False)
        self.bus_master_container.add_subregion(self.bus_master, 0)

    @property
    def requester(self) -> tuple[PciBus, int]:
        """The bus and address that an IOMMU takes its accesses to come from: behind conventional bridges, theirs."""
        bus, devfn = self.pci_bus, self.devfn
        here = bus
        while here.bridge is not None and here.dma_root is None:
            bridge = here.bridge
            if not here.express:
                # one that turns Express into conventional PCI speaks for its bus itself
                turns = bridge.type_name == "pcie-pci-bridge"
                bus, devfn = (here, 0) if turns else (bridge.pci_bus, bridge.devfn)
            here = bridge.pci_bus
        return bus, devfn

    def _dma_root(self) -> MemoryRegion:
        bus: PciBus | None = self.pci_bus
        root = self.pci_bus
        while root.bridge is not None:
            root = root.bridge.pci_bus
        while bus is not None and not root.bypasses_iommu:
            if bus.dma_root is not None:
                return bus.dma_root(self)
            bus = bus.parent_bus
        return self.board.system

    def unrealize(self) -> None:
        """Unmap everything, give the address and the address spaces back."""
        for bar in self.bars.values():
            self._unmap(bar)
        if isinstance(self.bus, PciBus):
            self.bus.release(self)
        for space in [*self.spaces, *([self.space] if self.space is not None else [])]:
            space.destroy()
        self.spaces.clear()
        self.space = None
        self.bars.clear()
        self.drop_regions()

    # --- BARs (5.2) ---

    def register_bar(self, index: int, kind: int, region: MemoryRegion) -> Bar:
        """Put *region*, whose size is a power of two, behind BAR *index* with type bits *kind*."""
        offset = bar_offset(index, bridge=self.is_bridge)
        bar = Bar(index, kind, region.size, region, offset)
        width = bar.width
        writable = ~(bar.size - 1) & (1 << 8 * width) - 1
        if index == ROM_SLOT:
            writable |= 1
        self.config[offset : offset + width] = kind.to_bytes(width, "little")
        self.mask[offset : offset + width] = writable.to_bytes(width, "little")
        self.bars[index] = bar
        return bar

    def update_mappings(self) -> None:
        """Map, move and unmap regions as the registers ask."""
        asleep = self.board.quirks.pci_sleep_unmaps and self._sleeps()
        with self.board.topology.transaction():
            for index in sorted(self.bars):
                bar = self.bars[index]
                address = None if asleep else bar.wanted(self.config, allow_0=self.board.maps_bars_at_0)
                if address == bar.address:
                    continue
                self._unmap(bar)
                if address is not None:
                    bar.address = address
                    self._window(bar).add_subregion(bar.region, address, 1)

    def _window(self, bar: Bar) -> MemoryRegion:
        return self.pci_bus.ports if bar.kind & IO else self.pci_bus.memory

    def _unmap(self, bar: Bar) -> None:
        if bar.address is not None:
            bar.address = None
            self._window(bar).del_subregion(bar.region)

    def _sleeps(self) -> bool:
        at = self.capability(CAP_PM)
        return bool(at) and bool(self.config[at + 4] & 3)

    # --- configuration space (5.1) ---

    def config_read(self, offset: int, size: int) -> int:
        """*size* bytes of configuration space from *offset* on."""
        return int.from_bytes(self.config[offset : offset + size], "little")

    def config_write(self, offset: int, value: int, size: int) -> None:
        """Write *size* bytes from *offset* on; registers act."""
        slept = self._sleeps()
        before = bytes(self.config[offset : offset + size])
        for at in range(offset, min(offset + size, len(self.config))):
            byte, mask = value & 0xFF, self.mask[at]
            self.config[at] = (self.config[at] & ~mask | byte & mask) & ~(byte & self.clear_mask[at])
            value >>= 8
        with self.board.topology.transaction():
            if (
                _meets(offset, size, 0x10, 24)
                or _meets(offset, size, 0x30, 4)
                or _meets(offset, size, 0x38, 4)
                or _meets(offset, size, COMMAND, 1)
                or self._sleeps() != slept
            ):
                self.update_mappings()
            if _meets(offset, size, COMMAND, 2) and self.bus_master is not None:
                self.bus_master.set_enabled(bool(self.config[COMMAND] & COMMAND_MASTER))
            self.config_written(offset, size, before)

    def config_written(self, offset: int, size: int, before: bytes) -> None:
        """Registers in [offset, offset + size), which held *before*, were written."""

    def reset(self) -> None:
        """system_reset: COMMAND and BARs are cleared, so that everything is unmapped (5.2)."""
        config = self.config
        for at in (COMMAND, COMMAND + 1, STATUS, STATUS + 1, INTERRUPT_LINE):
            config[at] &= ~(self.mask[at] | self.clear_mask[at]) & 0xFF
        config[CACHE_LINE] = 0
        power = self.capability(CAP_PM)
        if power and self.board.quirks.pci_sleep_unmaps:
            config[power + 4] &= 0xFC
        for kind, length in ((CAP_MSI, 0x14), (CAP_MSIX, 4)):
            at = self.capability(kind)
            for n in range(at + 2, at + length) if at else ():
                if kind == CAP_MSIX or self.mask[n]:
                    config[n] &= ~self.mask[n] & 0xFF
        for bar in self.bars.values():
            config[bar.offset : bar.offset + bar.width] = bar.kind.to_bytes(bar.width, "little")
        # the alias of bus mastering keeps its state until COMMAND is written next
        self.update_mappings()

    def refuse(self, text: str) -> DeviceError:
        """An error in QEMU's words."""
        return DeviceError(text)


def _meets(offset: int, size: int, start: int, length: int) -> bool:
    return offset < start + length and start < offset + size
