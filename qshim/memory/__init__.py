"""The heart of qshim: guest memory as QEMU models it. Knows no machine, no version and no text.

    region.py      MemoryRegion, the live tree                    ops.py, ioevents.py, iommu.py: its parts
    topology.py    one machine's memory: transactions, from a changed tree to new views
    render.py      pure: tree -> ranges; also only the part that changed
    flatview.py    FlatView of FlatRanges, frozen
    addrspace.py   AddressSpace, delivery to the listeners of listener.py
    dispatch.py    sections, sub-pages and radix nodes, built when somebody asks
    ramblock.py    RAMList and RAMBlock; hostmem.py maps, dirty.py tracks writes
    allocate.py    from "this much RAM" to region, block, offset, host address, and back
    access.py      reads and writes through an address space
"""

from __future__ import annotations

from qshim.memory.addrspace import AddressSpace
from qshim.memory.flatview import FlatRange, FlatView
from qshim.memory.listener import MemoryListener, MemorySection
from qshim.memory.ops import IO_PORT_OPS, Endian, MemoryRegionOps, MemTxAttrs, MemTxResult
from qshim.memory.ramblock import RAMBlock, RAMList
from qshim.memory.region import MemoryRegion
from qshim.memory.topology import Rules, Topology

__all__ = [
    "IO_PORT_OPS", "AddressSpace", "Endian", "FlatRange", "FlatView", "MemTxAttrs", "MemTxResult", "MemoryListener",
    "MemoryRegion", "MemoryRegionOps", "MemorySection", "RAMBlock", "RAMList", "Rules", "Topology",
]  # fmt: skip
