"""Configuration space and BARs of a real QEMU's PCI functions: used by record_devices.py."""

from __future__ import annotations

import re
from typing import Any

from tests.tools.device_probe import CORE_REGIONS, Machine, Snapshot

__all__ = ["Functions"]

Q35_ECAM = 0xB0000000
"""Where this script puts it on q35."""


class Windows:
    """Where a machine shows its PCI: configuration space, and room for BARs."""

    def __init__(self, machine: Machine) -> None:
        tree = "".join(machine.hmp("info qom-tree"))
        self.has_ports = "gpex-pcihost" not in tree
        """Configuration space is behind ports cf8 and cfc; elsewhere ECAM is the only way."""
        self.ecam = Q35_ECAM
        self.io, self.memory, self.high = 0xC000, 0x80000000, 0x8000000000
        if not self.has_ports:
            starts = {
                found[2]: int(found[1], 16)
                for line in machine.hmp("info mtree")
                if (found := re.match(r" *([0-9a-f]{16})-.*?\): alias (pcie-\w+(?:-high)?) @", line))
            }
            self.ecam = starts["pcie-ecam"]
            self.memory = starts.get("pcie-mmio", self.memory)
            self.high = starts.get("pcie-mmio-high", self.high)
        elif "q35-pcihost" in tree:
            for at, value in ((0x60, Q35_ECAM | 1), (0x64, 0)):
                Config(machine, self, 0, 0, 0).write(at, value)


class Config:
    """Configuration space of one function."""

    def __init__(self, machine: Machine, windows: Windows, bus: int, slot: int, function: int) -> None:
        self.machine = machine
        self.has_ports = windows.has_ports
        self.base = 1 << 31 | bus << 16 | slot << 11 | function << 8
        self.ecam = windows.ecam + (bus << 20 | slot << 15 | function << 12)

    def read(self, offset: int) -> int:
        if not self.has_ports:
            return int(self.machine.qtest(f"readl {self.ecam + offset:#x}").split()[1], 16)
        self.machine.qtest(f"outl 0xcf8 {self.base | offset:#x}")
        return int(self.machine.qtest("inl 0xcfc").split()[1], 16)

    def write(self, offset: int, value: int) -> None:
        if not self.has_ports:
            self.machine.qtest(f"writel {self.ecam + offset:#x} {value:#x}")
            return
        self.machine.qtest(f"outl 0xcf8 {self.base | offset:#x}")
        self.machine.qtest(f"outl 0xcfc {value:#x}")

    def short(self) -> bytes:
        return b"".join(self.read(at).to_bytes(4, "little") for at in range(0, 256, 4))

    def long(self) -> bytes | None:
        """All 4096 bytes through ECAM; None where there is no extended configuration space."""
        found = bytes.fromhex(self.machine.qtest(f"read {self.ecam:#x} 0x1000").split()[1][2:])
        return None if found[256:260] == b"\xff\xff\xff\xff" else found

    def probe(self, start: int, size: int) -> tuple[bytes, bytes]:
        """(writable bits, bits cleared by writing 1) of *size* bytes from *start* on."""
        mask, clear = bytearray(size), bytearray(size)
        for at in range(start, start + size, 4):
            before = self._get(at)
            self._put(at, 0xFFFFFFFF)
            ones = self._get(at)
            self._put(at, 0)
            zeros = self._get(at)
            mask[at - start : at - start + 4] = (ones & ~zeros).to_bytes(4, "little")
            clear[at - start : at - start + 4] = (before & ~ones & ~zeros & ~(ones & ~zeros)).to_bytes(4, "little")
            if not 0x10 <= at < 0x28:
                self._put(at, before)
        return bytes(mask), bytes(clear)

    def _get(self, at: int) -> int:
        if at < 256:
            return self.read(at)
        return int(self.machine.qtest(f"readl {self.ecam + at:#x}").split()[1], 16)

    def _put(self, at: int, value: int) -> None:
        if at < 256:
            self.write(at, value)
        else:
            self.machine.qtest(f"writel {self.ecam + at:#x} {value:#x}")


class Functions:
    """The PCI functions of a machine whose BARs can be mapped for a look."""

    def __init__(self, machine: Machine, paths: list[str], snapshot: Snapshot) -> None:
        self.machine = machine
        self.found: dict[str, dict[str, Any]] = {}
        self.bars: dict[str, dict[int, tuple[int, int, int]]] = {}
        self.windows = Windows(machine)
        self.io, self.memory, self.high = self.windows.io, self.windows.memory, self.windows.high
        for path in paths:
            lines = snapshot.qtree.get(path, [])
            place = next(
                (re.search(r"addr ([0-9a-f]{2}):([0-9a-f]{2})\.(\d)", x) for x in lines if "pci id" in x), None
            )
            if place is None:
                continue
            self.one(path, Config(machine, self.windows, int(place[1], 16), int(place[2], 16), int(place[3])))

    def one(self, path: str, config: Config) -> None:
        short = config.short()
        long = config.long() if self.machine.qtest(f"readl {self.windows.ecam:#x}") != "OK 0x0000000000000000" else None
        bridge = short[0x0E] & 0x7F == 1
        bars: dict[int, tuple[int, int, int]] = {}
        index = 0
        while index < (2 if bridge else 6):
            at = 0x10 + 4 * index
            kind = config.read(at)
            kind &= 3 if kind & 1 else 15
            config.write(at, 0xFFFFFFFF)
            low = config.read(at) & ~(3 if kind & 1 else 15)
            wide = not kind & 1 and bool(kind & 4)
            high = 0xFFFFFFFF
            if wide:
                config.write(at + 4, 0xFFFFFFFF)
                high = config.read(at + 4)
                config.write(at + 4, 0)
            config.write(at, 0)
            if low or (wide and high):
                size = (~(high << 32 | low) & (1 << 64) - 1) + 1
                bars[index] = (kind, size, at)
            index += 2 if wide else 1
        rom = 0x38 if bridge else 0x30
        config.write(rom, 0xFFFFFFFE)
        size = ~(config.read(rom) & ~0x7FF) + 1 & 0xFFFFFFFF
        config.write(rom, 0)
        if size:
            bars[6] = (0, size, rom)
        self.bars[path] = bars
        self.found[path] = {"config": config, "short": short, "long": long, "bars": bars, "map": {}}

    def map(self) -> None:
        """Map every BAR."""
        for told in self.found.values():
            config: Config = told["config"]
            for index, (kind, size, at) in told["bars"].items():
                if kind & 1:
                    self.io = -(-self.io // size) * size
                    address, self.io = self.io, self.io + size
                elif kind & 4 and size >= 1 << 28:
                    self.high = -(-self.high // size) * size
                    address, self.high = self.high, self.high + size
                else:
                    self.memory = -(-self.memory // size) * size
                    address, self.memory = self.memory, self.memory + size
                config.write(at, address & 0xFFFFFFFF | (1 if index == 6 else 0))
                if kind & 4:
                    config.write(at + 4, address >> 32)
                told["map"][address, kind & 1] = index
            config.write(4, 7)

    def behind(self, snapshot: Snapshot, apart: set[str]) -> dict[str, tuple[int, int]]:
        """Region path -> (BAR, kind), from where regions are mapped now."""
        out: dict[str, tuple[int, int]] = {}
        for path, told in self.found.items():
            for region, (row, parent) in snapshot.rows.items():
                if parent is None or not (region.startswith(path + "/") or region in apart):
                    continue
                ports = parent.endswith(("/io[0]", "/gpex_ioport[0]"))
                if ports or parent.endswith(("/pci[0]", "/system[0]", "/gpex_mmio[0]")):
                    index = told["map"].get((snapshot.regions[region]["addr"], int(ports)))
                    if index is not None and not CORE_REGIONS.fullmatch(row.name):
                        out[region] = (index, told["bars"][index][0])
        return out

    def finish(self, path: str, fragment: dict[str, Any]) -> None:
        """Put configuration space into the fragment; its registers are not what they were afterwards."""
        told = self.found.get(path)
        if told is None:
            return
        config: Config = told["config"]
        config.write(4, 0)
        mask, clear = config.probe(0, 256)
        raw = told["long"] or told["short"]
        if told["long"]:
            more = config.probe(0x100, _used(told["long"]) - 0x100)
            mask, clear = mask + more[0], clear + more[1]
        fragment["pci"] = {
            "config": raw.rstrip(b"\0").hex(), "mask": mask.hex(), "clear": clear.rstrip(b"\0").hex(), "size": len(raw),
            "bars": [[i, kind, size] for i, (kind, size, _) in sorted(told["bars"].items())],
        }  # fmt: skip


def _used(raw: bytes) -> int:
    return max(0x100, -(-len(raw.rstrip(b"\0")) // 4) * 4 + 0x40) if raw[256:].strip(b"\0") else 0x100


# --- one type ---
