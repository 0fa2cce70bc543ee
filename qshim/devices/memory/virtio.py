"""virtio-mem and virtio-pmem: PCI functions with memory in the guest's device memory (spec/x86-boards.md 1.3, 6.5)."""

from __future__ import annotations

from qshim.devices.catalogue import CatalogueFunction
from qshim.devices.errors import DeviceError
from qshim.devices.layout import pow2_ceil
from qshim.devices.memory.placement import DeviceMemory, Taken
from qshim.memory import MemoryRegion

__all__ = ["VirtioMem", "VirtioPmem"]

BLOCK_SIZE = 2 << 20
SLOT_SIZE, MOST_SLOTS = 1 << 30, 256
"""Of dynamic memory slots."""


class _VirtioMemoryDevice(CatalogueFunction):
    """What both have in common."""

    kind = ""
    busy = "can't use already busy memdev: {}"
    taken: Taken | None = None
    backend: MemoryRegion | None = None

    @property
    def memdev(self) -> str:
        """Id of the backend."""
        return self.text_of("memdev")

    @property
    def addr(self) -> int:
        """Guest address."""
        return 0 if self.taken is None else self.taken.addr

    @property
    def size(self) -> int:
        """Bytes of the backend."""
        return 0 if self.backend is None else self.backend.size

    @property
    def node(self) -> int:
        """NUMA node."""
        return self.number_of("node")

    def alignment(self, region: MemoryRegion) -> int:
        """What its address is a multiple of."""
        return region.align

    def check_own(self, region: MemoryRegion) -> None:
        """Whether its own properties fit."""

    def _place(self) -> tuple[DeviceMemory, MemoryRegion, int]:
        board = self.board
        name = self.memdev
        if name and name not in board.backends:
            raise DeviceError(f"Device '{name}' not found", "DeviceNotFound")
        if not name and board.device_memory is None and board.quirks.device_memory_space:
            raise DeviceError(board.no_device_memory)
        if not name:
            raise DeviceError("'memdev' property must be set")
        memory = board.device_memory
        region = board.backend_regions[name]
        if memory is None:
            raise DeviceError(board.no_device_memory)
        asked = self.number_of("memaddr") or None
        return memory, region, memory.place(asked, self.alignment(region), region.size, self.kind)

    def check(self) -> None:
        """Find a place before anything is made."""
        super().check()
        self._memory, _, self._at = self._place()

    def make(self) -> None:
        """The function, and its memory."""
        if self.board.backends[self.memdev].mapped:
            raise DeviceError(self.busy.format(self.memdev))
        self.check_own(self.board.backend_regions[self.memdev])
        super().make()
        board = self.board
        region = board.backend_regions[self.memdev]
        board.backends[self.memdev].mapped = True
        self.backend = region
        self.name_block(region)
        self.taken = self._memory.take(self._at, self.shown(region), self.id)

    def shown(self, region: MemoryRegion) -> MemoryRegion:
        """What is mapped for the backend *region*."""
        return region

    def name_block(self, region: MemoryRegion) -> None:
        """The RAM block's name."""

    def unrealize(self) -> None:
        """Give memory and backend back."""
        if self.taken is not None:
            self._memory.release(self.taken)
            self.taken = None
        if self.backend is not None:
            self.board.backends[self.memdev].mapped = False
            block = self.backend.ram_block
            if block is not None and block.idstr:
                self.board.topology.ram.unregister(block)
            self.backend = None
        super().unrealize()

    def _identity(self) -> dict[str, object]:
        return {"id": self.id} if self.id is not None else {}


class VirtioMem(_VirtioMemoryDevice):
    """virtio-mem-pci: nothing is plugged until the guest takes it."""

    kind = "virtio-mem"
    busy = "'memdev' property specifies a busy memdev: {}"

    @property
    def block_size(self) -> int:
        """Bytes of a block."""
        return self.size_of("block-size") or BLOCK_SIZE

    @property
    def plugged_size(self) -> int:
        """Bytes that the guest has: none, as nobody runs."""
        return 0

    def alignment(self, region: MemoryRegion) -> int:
        """Blocks are aligned."""
        return max(region.align, self.block_size)

    def check_own(self, region: MemoryRegion) -> None:
        """Sizes are whole blocks."""
        block, requested = self.block_size, self.size_of("requested-size")
        if block < BLOCK_SIZE:
            self.board.warn("'block-size' property is smaller than the default block size (2 MiB)")
        if region.size % block:
            raise DeviceError(f"'memdev' property memdev size has to be multiples of'block-size' (0x{block:x})")
        if requested % block:
            raise DeviceError(f"'requested-size' property has to be multiples of 'block-size' (0x{block:x})")
        if requested > region.size:
            raise DeviceError(f"'requested-size' property cannot exceed the memory backend size (0x{region.size:x})")

    def shown(self, region: MemoryRegion) -> MemoryRegion:
        """The backend, or a container in which slots of it appear as the guest takes them (10.0)."""
        backend = self.child("virtio-backend")
        if not self.is_on("dynamic-memslots") or backend is None:
            return region
        board = self.board
        container = board.container("virtio-mem", region.size, backend)
        slot = max(SLOT_SIZE, pow2_ceil(-(-region.size // MOST_SLOTS)))
        for at in range(0, region.size, slot):
            board.alias(f"memslot-{at // slot}", region, at, min(slot, region.size - at), backend)
        return container

    def name_block(self, region: MemoryRegion) -> None:
        """After the function."""
        assert region.ram_block is not None
        self.board.topology.ram.register(region.ram_block, str(region.name), self.device_path)

    def told(self) -> dict[str, object]:
        """Its entry in query-memory-devices."""
        data = self._identity() | {
            "memaddr": self.addr, "requested-size": self.size_of("requested-size"), "size": self.plugged_size,
            "max-size": self.size, "block-size": self.block_size, "node": self.node,
            "memdev": f"/objects/{self.memdev}",
        }  # fmt: skip
        return {"type": self.kind, "data": data}


class VirtioPmem(_VirtioMemoryDevice):
    """virtio-pmem-pci: all of the backend is there."""

    kind = "virtio-pmem"

    def told(self) -> dict[str, object]:
        """Its entry in query-memory-devices."""
        data = self._identity() | {"memaddr": self.addr, "size": self.size, "memdev": f"/objects/{self.memdev}"}
        return {"type": self.kind, "data": data}
