"""PCI: buses, functions, bridges and the ways to configuration space (spec/x86-boards.md 5)."""

from __future__ import annotations

from qshim.devices.pci.address import devfn_of
from qshim.devices.pci.bar import IO, MEM, MEM64, PREFETCH, ROM_SLOT, Bar
from qshim.devices.pci.bridge import PciBridge
from qshim.devices.pci.bus import PciBus
from qshim.devices.pci.function import PciFunction
from qshim.devices.pci.host import ConfigMechanism, ecam_ops

__all__ = [
    "IO", "MEM", "MEM64", "PREFETCH", "ROM_SLOT", "Bar", "ConfigMechanism", "PciBridge", "PciBus", "PciFunction",
    "devfn_of", "ecam_ops",
]  # fmt: skip
