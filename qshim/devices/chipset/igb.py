"""igb: a network function with eight virtual ones, which are there before they are enabled (spec/x86-boards.md 6.3)."""

from __future__ import annotations

from qshim.devices.catalogue import CatalogueFunction
from qshim.devices.errors import DeviceError
from qshim.devices.layout import Layout
from qshim.devices.pci.bar import MEM, MEM64, PREFETCH, Bar

__all__ = ["Igb", "IgbVf"]

FIRST, STRIDE, FUNCTIONS = 0x80, 2, 8
SLOTS_END = 0x100


class IgbVf(CatalogueFunction):
    """A virtual function; nothing of it is mapped while the physical one has not enabled it."""

    is_virtual = True

    def fill_config(self) -> None:
        """It has no identity of its own; configuration cycles do not reach it."""
        super().fill_config()
        if self.layout.pci is not None:
            self.layout.pci.kinds.clear()
        self.config[:] = bytes(len(self.config))
        self.mask[:] = bytes(len(self.mask))
        self.config[0:4] = b"\xff" * 4
        self.config[0x0B] = 0x02
        self.config[0x2C:0x30] = (0x11001AF4).to_bytes(4, "little")

    def map_bars(self) -> None:
        """Two BARs, whose registers are in the physical function's capability."""
        for index, name in ((0, "igbvf-mmio[0]"), (3, "igbvf-msix[0]")):
            region = self.made[name]
            self.bars[index] = Bar(index, MEM | MEM64 | PREFETCH, region.size, region, 0x10 + 4 * index)

    def update_mappings(self) -> None:
        """Nothing of it is mapped."""

    def reset(self) -> None:
        """It stays as it is."""


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
        # virtual functions make it one of several, whatever was asked for
        self.properties["multifunction"] = "on"
        number = 0
        for child in layout.children:
            if child.layout.type_name == "igbvf":
                child.addr = self.devfn + FIRST + STRIDE * number
                number += 1
