"""PciBus: slots, spaces of memory and ports, and the way of a configuration cycle (spec/x86-boards.md 5)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from qshim.devices.errors import DeviceError
from qshim.devices.pci.address import ANY, devfn_of, function_of, slot_of
from qshim.devices.qdev import Bus

if TYPE_CHECKING:
    from qshim.devices.board import Board
    from qshim.devices.pci.bridge import PciBridge
    from qshim.devices.pci.function import PciFunction
    from qshim.memory import MemoryRegion

__all__ = ["PciBus"]

SLOTS, FUNCTIONS = 32, 8


class PciBus(Bus):
    """A bus of type `PCI` or `PCIE` (or `pxb-bus`, ...). *memory* and *ports* are where BARs appear.

    :param number: bus number of a root bus; buses behind a bridge are numbered by its registers.
    :param parent_bus: the bus a root bus hangs below for configuration cycles (pxb), None for the main one.
    :param expander: the function that made a root bus besides the first one.
    :param path: what device paths begin with on a root bus.
    :param devfn_min: the first slot (times 8) that is given away without being asked for.
    """

    def __init__(
        self,
        board: Board,
        type_name: str,
        memory: MemoryRegion,
        ports: MemoryRegion,
        *,
        bridge: PciBridge | None = None,
        parent_bus: PciBus | None = None,
        number: int = 0,
        path: str = "0000:00",
        devfn_min: int = 0,
        express: bool | None = None,
        expander: PciFunction | None = None,
        hotpluggable: bool = False,
    ) -> None:
        self.express = type_name in ("PCIE", "pxb-pcie-bus", "CXL", "pxb-cxl-bus") if express is None else express
        super().__init__(board, type_name, kind="PCI", hotpluggable=hotpluggable)
        self.memory = memory
        self.ports = ports
        self.bridge = bridge
        self.parent_bus = bridge.pci_bus if bridge is not None else parent_bus
        self.expander = expander
        """The function that made this root bus (pxb); only bridges go there."""
        self.root_number = number
        self.root_path = path
        self.devfn_min = devfn_min
        self.slots: dict[int, PciFunction] = {}
        """Functions by devfn."""
        self.reserved: set[int] = set()
        """Slots that nobody gets."""
        self.children_buses: list[PciBus] = []
        """Buses behind bridges of this one and further root buses, the newest first."""
        self.order = board.bus_numbers["PciBus"] = board.bus_numbers.get("PciBus", 0) + 1
        """Buses that were made later have a larger one."""
        self.dma_root: Callable[[PciFunction], MemoryRegion] | None = None
        """An IOMMU's answer to what a function sees; None: what the CPU sees."""
        self.bypasses_iommu = False
        """Of a root bus: functions on it and behind it see what the CPU sees, IOMMU or not."""
        if self.parent_bus is not None:
            self.parent_bus.children_buses.insert(0, self)

    @property
    def is_root(self) -> bool:
        """Not behind a bridge."""
        return self.bridge is None

    @property
    def number(self) -> int:
        """The bus number: a root's own, or what the bridge's register 19 holds."""
        return self.root_number if self.bridge is None else self.bridge.config[0x19]

    @property
    def root_bus(self) -> PciBus:
        """The root bus above."""
        here = self
        while here.bridge is not None:
            here = here.bridge.pci_bus
        return here

    @property
    def prefix(self) -> str:
        """What the device paths on it begin with (`0000:00`, `0000:00:01.0`)."""
        return self.root_path if self.bridge is None else self.bridge.device_path

    def walk(self) -> Iterator[PciBus]:
        """This bus and those below it."""
        yield self
        for child in self.children_buses:
            yield from child.walk()

    def close(self) -> None:
        """The bridge of this bus goes."""
        if self.parent_bus is not None and self in self.parent_bus.children_buses:
            self.parent_bus.children_buses.remove(self)

    @property
    def _has_one_slot(self) -> bool:
        """It is behind a PCI Express port, where only slot 0 is seen."""
        board = self.board
        return self.bridge is not None and board.descends(self.bridge.type_name, "pcie-slot")

    # --- slots (5.4) ---

    def try_slot(self, function: PciFunction, text: str | None) -> None:
        """Whether *function* could have the address *text*, or any if it asks for none.

        :raises DeviceError: it could not.
        """
        devfn = ANY if not text or text == "-1" else devfn_of(text, function.type_name)
        function.hotplugged = self.board.completed
        function.devfn = self.claim(function, devfn)
        self.release(function)
        function.devfn = ANY

    def claim(self, function: PciFunction, devfn: int) -> int:
        """Give *function* the address *devfn*, or the lowest slot whose function 0 is free.

        :raises DeviceError: there is none, or it is taken.
        """
        name = function.type_name
        looks = devfn != ANY or self.board.quirks.ports_have_one_slot
        if devfn == ANY:
            free = (n for n in range(self.devfn_min, SLOTS * FUNCTIONS, FUNCTIONS) if n not in self.slots)
            found = next((n for n in free if slot_of(n) not in self.reserved), None)
            if found is None:
                raise DeviceError(f"PCI: no slot/function available for {name}, all in use or reserved")
            devfn = found
        slot, number = slot_of(devfn), function_of(devfn)
        if slot in self.reserved:
            raise DeviceError(f"PCI: slot {slot} function {number} not available for {name}, reserved")
        if self.expander is not None and not function.is_bridge:
            raise DeviceError(f"PCI: Only PCI/PCIe bridges can be plugged into {self.expander.type_name}")
        other = self.slots.get(devfn)
        if other is not None:
            raise DeviceError(
                f"PCI: slot {slot} function {number} not available for {name}, "
                f"in use by {other.type_name},id={other.id or '(null)'}"
            )
        first = self.slots.get(slot << 3)
        visible = self.slots.get(0) if looks and self._has_one_slot else first if number else None
        if function.hotplugged and visible is not None and not function.is_virtual:
            raise DeviceError(
                f"PCI: slot {slot_of(visible.devfn)} function 0 already occupied by {visible.type_name}, "
                f"new func {name} cannot be exposed to guest."
            )
        self._check_functions(function, slot, number, first)
        self.slots[devfn] = function
        return devfn

    def _check_functions(self, function: PciFunction, slot: int, number: int, first: PciFunction | None) -> None:
        """Whether the multifunction bits of a slot agree; virtual functions do not count."""
        if function.is_virtual:
            return
        if number:
            if first is not None and not first.multifunction:
                raise DeviceError(f"PCI: single function device can't be populated in function {slot:x}.{number:x}")
        elif not function.multifunction:
            for n in range(1, FUNCTIONS):
                if slot << 3 | n in self.slots:
                    raise DeviceError(
                        f"PCI: {slot:x}.0 indicates single function, but {slot:x}.{n:x} is already populated."
                    )

    def release(self, function: PciFunction) -> None:
        """Take *function*'s address back."""
        if self.slots.get(function.devfn) is function:
            del self.slots[function.devfn]

    # --- configuration cycles ---

    def find_bus(self, number: int) -> PciBus | None:
        """The bus that answers to *number*, seen from this root bus through the numbers in its bridges."""
        if self.number == number:
            return self
        if self.bridge is not None and not self.bridge.covers(number):
            return None
        here: PciBus | None = self
        while here is not None:
            following = None
            for child in here.children_buses:
                if child.number == number:
                    return child
                if child._reaches(number):
                    following = child
                    break
            here = following
        return None

    def _reaches(self, number: int) -> bool:
        if self.bridge is not None:
            return self.bridge.covers(number)
        from qshim.devices.pci.bridge import PciBridge

        return any(isinstance(f, PciBridge) and f.covers(number) for f in self.slots.values())

    def function_at(self, number: int, devfn: int) -> PciFunction | None:
        """The function that a configuration cycle reaches."""
        bus = self.find_bus(number)
        return None if bus is None else bus.slots.get(devfn)
