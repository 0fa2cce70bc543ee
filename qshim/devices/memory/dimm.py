"""pc-dimm and nvdimm (spec/x86-boards.md 1.3, 6.5)."""

from __future__ import annotations

from collections.abc import Mapping

from qshim.devices.board import Board
from qshim.devices.errors import DeviceError
from qshim.devices.memory.placement import Taken
from qshim.devices.qdev import Device
from qshim.memory import MemoryRegion

__all__ = ["Dimm", "NvDimm", "SpMem"]

MIN_LABEL = 128 << 10


class Dimm(Device):
    """A pc-dimm."""

    kind = "dimm"

    def __init__(self, board: Board, type_name: str, *, device_id: str | None, properties: Mapping[str, str]) -> None:
        super().__init__(board, type_name, device_id=device_id, properties=properties)
        self.taken: Taken | None = None
        self.slot = -1
        self.region: MemoryRegion | None = None

    @property
    def memdev(self) -> str:
        """Id of its backend."""
        return self.text_of("memdev")

    @property
    def node(self) -> int:
        """NUMA node."""
        return self.number_of("node")

    @property
    def addr(self) -> int:
        """Guest address, 0 while it has none."""
        return 0 if self.taken is None else self.taken.addr

    @property
    def size(self) -> int:
        """Bytes that the guest sees."""
        return 0 if self.region is None else self.region.size

    def pre_plug(self) -> None:
        """What the board looks at before the device is realized.

        :raises DeviceError: the board refuses it.
        """
        board = self.board
        memory = board.device_memory
        name = self.memdev
        if name and name not in board.backends:
            raise DeviceError(f"Device '{name}' not found", "DeviceNotFound")
        if not board.takes_dimms:
            return
        self.check_board()
        self.check_type()
        slots = board.slots
        used = {device.slot for device in board.devices if isinstance(device, Dimm)}
        slot = self.number_of("slot", -1)
        if slot != -1 and not 0 <= slot < slots:
            raise DeviceError(f"invalid slot number {slot}, valid range is [0-{(slots - 1) % (1 << 64)}]")
        if not slots:
            raise DeviceError("no slots where allocated, please specify the 'slots' option")
        if slot == -1:
            slot = next((n for n in range(slots) if n not in used), -1)
            if slot < 0:
                raise DeviceError("no free slots available")
        elif slot in used:
            raise DeviceError(f"slot {slot} is busy")
        if not name:
            raise DeviceError("'memdev' property must be set")
        self.slot = slot
        assert memory is not None
        backend_region = board.backend_regions[name]
        size = self.visible_size(backend_region)
        asked = self.number_of("addr") or None
        self.place_at = memory.place(asked, backend_region.align, size)

    place_at = 0

    def check_board(self) -> None:
        """Whether the board takes memory devices of this kind now."""
        if self.board.refuses_dimms:
            raise DeviceError(self.board.refuses_dimms)

    def check_type(self) -> None:
        """Whether the board takes this kind."""

    def _check_backend(self, name: str) -> None:
        if self.board.backends[name].mapped:
            raise DeviceError(f"can't use already busy memdev: {name}")

    def visible_size(self, backend: MemoryRegion) -> int:
        """How much of *backend* the guest sees."""
        return backend.size

    def make_region(self, backend: MemoryRegion) -> MemoryRegion:
        """What is mapped."""
        return backend

    def realize(self) -> None:
        """Check the backend, take it, and show it."""
        board = self.board
        self.pre_plug()
        name = self.memdev
        if not name:
            raise DeviceError("'memdev' property is not set")
        nodes = board.numa_nodes
        if (nodes and self.node >= nodes) or (not nodes and self.node):
            raise DeviceError(
                f"'DIMM property node has value {self.node}' which exceeds the number of numa nodes: {nodes or 1}"
            )
        self._check_backend(name)
        backend = board.backends[name]
        region = board.backend_regions[name]
        self.region = self.make_region(region)
        backend.mapped = True
        if board.takes_dimms and board.device_memory is not None:
            self.taken = board.device_memory.take(self.place_at, self.region, self.id)
            assert region.ram_block is not None
            board.topology.ram.register(region.ram_block, region.name or name)

    def unrealize(self) -> None:
        """Give slot, addresses and backend back."""
        board = self.board
        if self.taken is not None and board.device_memory is not None:
            board.device_memory.release(self.taken)
            self.taken = None
            block = board.backend_regions[self.memdev].ram_block
            if block is not None:
                board.topology.ram.unregister(block)
        if self.region is not None:
            board.backends[self.memdev].mapped = False
            self.drop_regions()
            self.region = None
        self.slot = -1

    def told(self) -> dict[str, object]:
        """Its entry in query-memory-devices."""
        data: dict[str, object] = {"id": self.id} if self.id is not None else {}
        data |= {
            "addr": self.addr, "slot": self.slot, "node": self.node, "memdev": f"/objects/{self.memdev}",
            "size": self.size, "hotplugged": self.hotplugged, "hotpluggable": True,
        }  # fmt: skip
        return {"type": self.kind, "data": data}


class NvDimm(Dimm):
    """An nvdimm: a window on its backend, without the label area at its end."""

    kind = "nvdimm"

    def check_board(self) -> None:
        """Some boards take one that is there from the start although they plug nothing in later."""
        if not self.board.takes_cold_nvdimms or self.board.completed:
            super().check_board()

    def check_type(self) -> None:
        """The board must have nvdimm=on."""
        if not self.board.nvdimm:
            raise DeviceError(self.board.no_nvdimm_text)
        label = self.label
        if self.text_of("label-size") and label < MIN_LABEL:
            raise DeviceError(f"Property 'nvdimm.label-size' (0x{label:x}) is required at least 0x{MIN_LABEL:x}")

    @property
    def label(self) -> int:
        """Bytes of the label area."""
        return self.size_of("label-size")

    def visible_size(self, backend: MemoryRegion) -> int:
        """Without labels, in whole alignments."""
        align = backend.align
        size = max(backend.size - self.label, 0) // align * align
        if not size:
            raise DeviceError(
                f"the size of memdev {self.memdev} (0x{backend.size:x}) is too small to contain nvdimm label "
                f"(0x{self.label:x}) and aligned PMEM (0x{align:x})"
            )
        return size

    def make_region(self, backend: MemoryRegion) -> MemoryRegion:
        """The alias that the guest sees."""
        alias = self.board.alias("nvdimm-memory", backend, 0, self.visible_size(backend), self)
        alias.set_nonvolatile(True)
        return alias


class SpMem(Dimm):
    """An sp-mem (11.1): memory that firmware describes as specific-purpose; no slot, no name for its block."""

    kind = "sp-mem"

    def realize(self) -> None:
        """Check node and backend, and show it."""
        board, name, memory = self.board, self.memdev, self.board.device_memory
        nodes = board.numa_nodes or int(memory is not None)
        if board.takes_dimms and self.node >= nodes:
            raise DeviceError(f"'node' property value {self.node} exceeds the number of NUMA nodes ({nodes})")
        if not name:
            raise DeviceError(f"'memdev' property {'must be set' if board.takes_dimms else 'is required'}")
        backend, region = board.backends[name], board.backend_regions[name]
        if backend.mapped:
            raise DeviceError(f"memory backend '{name}' is already in use")
        if board.takes_dimms and memory is not None:
            at = memory.place(self.number_of("addr") or None, region.align, region.size, self.kind)
            self.taken = memory.take(at, region, self.id)
        self.region = region
        backend.mapped = True

    def unrealize(self) -> None:
        """Give addresses and backend back."""
        if self.taken is not None and self.board.device_memory is not None:
            self.board.device_memory.release(self.taken)
            self.taken = None
        if self.region is not None:
            self.board.backends[self.memdev].mapped = False
            self.region = None

    def told(self) -> dict[str, object]:
        """Its entry in query-memory-devices."""
        data: dict[str, object] = {"id": self.id} if self.id is not None else {}
        data |= {"addr": self.addr, "node": self.node, "memdev": f"/objects/{self.memdev}", "size": self.size}
        return {"type": self.kind, "data": data}
