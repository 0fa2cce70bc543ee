"""Device memory: where DIMMs and other memory devices go (spec/x86-boards.md 1.3)."""

from __future__ import annotations

from qshim.devices.board import Board
from qshim.devices.errors import DeviceError
from qshim.memory import AddressSpace, MemoryRegion

__all__ = ["DeviceMemory", "Taken"]


class Taken:
    """A stretch of device memory that a device has."""

    __slots__ = ("addr", "device_id", "region", "size")

    def __init__(self, addr: int, size: int, region: MemoryRegion, device_id: str | None) -> None:
        self.addr, self.size, self.region, self.device_id = addr, size, region, device_id


class DeviceMemory:
    """The region `device-memory` of *size* bytes at *base*, with *slots* DIMM slots."""

    def __init__(self, board: Board, base: int, size: int, slots: int) -> None:
        self.board = board
        self.base, self.size, self.slots = base, size, slots
        self.region = board.container("device-memory", size, board.machine)
        board.system.add_subregion(self.region, base)
        self.space: AddressSpace | None = None
        if board.quirks.device_memory_space:
            self.space = board.space(self.region, "device-memory")
        self.taken: list[Taken] = []
        """In order of addresses."""

    @property
    def used(self) -> int:
        """Bytes that devices have."""
        return sum(each.size for each in self.taken)

    def place(self, asked: int | None, align: int, size: int, kind: str = "dimm") -> int:
        """Where *size* bytes go: at *asked*, or at the lowest address that is free.

        :raises DeviceError: they do not fit.
        """
        if self.used + size > self.usable:
            raise DeviceError(
                f"not enough space, currently 0x{self.used:x} in use of total space for memory devices "
                f"0x{self.usable:x}"
            )
        checks = [
            (asked is not None and asked % align, f"address must be aligned to 0x{align:x} bytes"),
            (size % align, f"backend memory size must be multiple of 0x{align:x}"),
        ]
        for wrong, text in checks if self.board.quirks.address_checked_first else reversed(checks):
            if wrong:
                raise DeviceError(text)
        end = self.base + self.size
        if asked is not None and (asked < self.base or asked + size > end):
            raise DeviceError(
                f"can't add memory device [0x{asked:x}:0x{size:x}], usable range for memory devices "
                f"[0x{self.base:x}:0x{self.size:x}]"
            )
        at = -(-(self.base if asked is None else asked) // align) * align
        for each in self.taken:
            if each.addr < at + size and at < each.addr + each.size:
                if asked is not None:
                    raise DeviceError(
                        f"address range conflicts with memory device id='{each.device_id or '(unnamed)'}'"
                    )
                at = -(-(each.addr + each.size) // align) * align
        if at + size > end:
            raise DeviceError(
                "could not find position in guest address space for memory device - memory fragmented due to alignments"
            )
        return at

    @property
    def usable(self) -> int:
        """Bytes for devices, without what slots reserve for alignment."""
        return self.board.maximum_memory - self.board.ram_size

    def take(self, addr: int, region: MemoryRegion, device_id: str | None, size: int | None = None) -> Taken:
        """Map *region* at *addr*."""
        made = Taken(addr, region.size if size is None else size, region, device_id)
        self.taken.append(made)
        self.taken.sort(key=lambda each: each.addr)
        self.region.add_subregion(region, addr - self.base)
        return made

    def release(self, taken: Taken) -> None:
        """Unmap what a device had."""
        self.taken.remove(taken)
        self.region.del_subregion(taken.region)
