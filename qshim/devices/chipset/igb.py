"""igb: a network function with eight virtual ones, which are there before they are enabled (spec/x86-boards.md 6.3)."""

from __future__ import annotations

from qshim.devices.catalogue import CatalogueFunction
from qshim.devices.errors import DeviceError
from qshim.devices.layout import Layout

__all__ = ["Igb", "IgbVf"]

FIRST, STRIDE, FUNCTIONS = 0x80, 2, 8
SLOTS_END = 0x100


class IgbVf(CatalogueFunction):
    """A virtual function; nothing of it is mapped while the physical one has not enabled it."""

    is_virtual = True

    def fill_config(self) -> None:
        """It has no identity of its own."""
        super().fill_config()
        if self.layout.pci is not None:
            self.layout.pci.kinds.clear()

    def update_mappings(self) -> None:
        """Its BARs are those of the physical function's capability."""


class Igb(CatalogueFunction):
    """The physical function."""

    def check(self) -> None:
        """All virtual functions are to fit on the bus."""

    def prepare(self, layout: Layout) -> None:
        """Virtual functions follow the address that it got.

        :raises DeviceError: their addresses are no addresses any more.
        """
        if self.devfn + FIRST + STRIDE * (FUNCTIONS - 1) >= SLOTS_END:
            raise DeviceError("VF addr overflows")
        number = 0
        for child in layout.children:
            if child.layout.type_name == "igbvf":
                child.addr = self.devfn + FIRST + STRIDE * number
                number += 1
