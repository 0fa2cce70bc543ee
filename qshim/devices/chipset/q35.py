"""q35: the host bridge with ECAM, and its function 0 (`mch`) with PAM, SMRAM and TSEG (spec/x86-boards.md 3.5, 3.7)."""

from __future__ import annotations

from qshim.devices.catalogue import CatalogueDevice, CatalogueFunction
from qshim.devices.chipset.pam import PAM_REGISTERS, Pam
from qshim.devices.errors import DeviceError
from qshim.devices.pci.bus import PciBus
from qshim.devices.pci.host import ConfigMechanism, ecam_ops
from qshim.memory import MemoryRegion, MemoryRegionOps, MemTxAttrs

__all__ = ["Mch", "Q35Host"]

EXT_TSEG, PCIEXBAR, PAM = 0x50, 0x60, 0x90
F_SMBASE, SMRAM, ESMRAMC = 0x9C, 0x9D, 0x9E
SMRAM_OPEN, SMRAM_LOCK, SMRAM_ENABLE = 1 << 6, 1 << 4, 1 << 3
SMRAM_MASK, SMRAM_MASK_LOCKED, SMRAM_RESET = 0x78, 0x20, 0x02
ESMRAMC_HIGH, ESMRAMC_TSEG = 1 << 7, 1 << 0
ESMRAMC_MASK, ESMRAMC_RESET = 0x87, 0x38
SMBASE_QUERY, SMBASE_IN_RAM, SMBASE_LOCK = 0xFF, 0x01, 0x02
LOW, LOW_SIZE, HIGH = 0xA0000, 0x20000, 0xFEDA0000
SMBASE, SMBASE_SIZE = 0x30000, 0x20000
SMRAM_SIZE = 1 << 32
MIB = 1 << 20
PCIEXBAR_RESET = 0xB0000000
ECAM_SIZES = {0: 256 * MIB, 1: 128 * MIB, 2: 64 * MIB}
EXT_TSEG_MOST = 0xFFF


def _ones(offset: int, size: int, attrs: MemTxAttrs) -> int:
    return 0xFFFFFFFF


def _drop(offset: int, value: int, size: int, attrs: MemTxAttrs) -> None:
    return None


BLACK_HOLE = MemoryRegionOps(read=_ones, write=_drop)


class Q35Host(CatalogueDevice):
    """The host bridge device: ports cf8 and cfc, and the ECAM window."""

    ecam: MemoryRegion

    def realize(self) -> None:
        """Make the bus, the ports, the window and function 0."""
        board = self.board
        bus = PciBus(board, "PCIE", board.isa_memory, board.ports)
        self.add_bus("pcie.0", bus)
        board.pci_buses.append(bus)
        mechanism = ConfigMechanism(bus)
        layout = self.layout
        layout.regions = [plan for plan in layout.regions if plan.plain != "pcie-mmcfg-mmio"]
        layout.objects = [row for row in layout.objects if not row[0].startswith("pcie-mmcfg-mmio")]
        for plan in layout.regions:
            plan.ops = mechanism.index if plan.plain == "pci-conf-idx" else mechanism.data
        layout.buses = []
        for child in layout.children:
            if child.name == "mch":
                child.addr = None
        self.ecam = board.io("pcie-mmcfg-mmio", ECAM_SIZES[0], self, ecam_ops(bus))
        self.build()

    def map_ecam(self, base: int | None, size: int) -> None:
        """Show the window at *base*, or nowhere."""
        region = self.ecam
        if region.container is not None:
            if region.addr == base and region.size == size:
                return
            region.container.del_subregion(region)
        if base is not None:
            region.set_size(size)
            self.board.system.add_subregion(region, base)


class Mch(CatalogueFunction):
    """Function 0 of q35."""

    pam: Pam
    tseg_extended = 0
    """Size that TSEG_SZ 3 means, in MiB."""

    def make(self) -> None:
        """PAM, SMRAM, TSEG."""
        board = self.board
        ram, system, pci = board.main_memory, board.system, board.isa_memory
        assert ram is not None
        self.below = board.below_4g
        self.tseg_extended = self.number_of("extended-tseg-mbytes", board.quirks.extended_tseg_mbytes)
        if self.tseg_extended > EXT_TSEG_MOST:
            raise DeviceError(f"invalid extended-tseg-mbytes value: {self.tseg_extended}")
        self.pam = Pam(board, self, ram=ram, system=system, pci=pci)
        self.smram_region = board.alias("smram-region", pci, LOW, LOW_SIZE, self)
        system.add_subregion(self.smram_region, LOW, 1)
        self.smm = board.smm or not board.quirks.smm_off_drops_smram
        if self.smm:
            self._make_smram(ram, system)
        self._registers()

    def _make_smram(self, ram: MemoryRegion, system: MemoryRegion) -> None:
        board = self.board
        self.open_high = board.alias("smram-open-high", ram, LOW, LOW_SIZE, self)
        system.add_subregion(self.open_high, HIGH, 1)
        self.smram = board.container("smram", SMRAM_SIZE, self)
        self.low = board.alias("smram-low", ram, LOW, LOW_SIZE, self)
        self.smram.add_subregion(self.low, LOW)
        self.high = board.alias("smram-high", ram, LOW, LOW_SIZE, self)
        self.smram.add_subregion(self.high, HIGH)
        self.tseg_hole = board.io("tseg-blackhole", 0, self, BLACK_HOLE)
        system.add_subregion(self.tseg_hole, self.below, 1)
        self.tseg_window = board.alias("tseg-window", ram, self.below, 0, self)
        self.smram.add_subregion(self.tseg_window, self.below)
        self.smbase_hole = board.io("smbase-blackhole", SMBASE_SIZE, self, BLACK_HOLE)
        system.add_subregion(self.smbase_hole, SMBASE, 1)
        self.smbase_window = board.alias("smbase-window", ram, SMBASE, SMBASE_SIZE, self)
        self.smram.add_subregion(self.smbase_window, SMBASE)
        for region in (self.open_high, self.low, self.high, self.tseg_hole, self.tseg_window, self.smbase_hole,
                       self.smbase_window):  # fmt: skip
            region.set_enabled(False)
        board.smram = self.smram

    def _registers(self) -> None:
        """Values and masks after a reset."""
        self.config[PCIEXBAR : PCIEXBAR + 8] = PCIEXBAR_RESET.to_bytes(8, "little")
        self.mask[PCIEXBAR : PCIEXBAR + 8] = b"\xff" * 8
        self.config[SMRAM], self.mask[SMRAM] = SMRAM_RESET, SMRAM_MASK
        self.config[ESMRAMC], self.mask[ESMRAMC] = ESMRAMC_RESET, ESMRAMC_MASK
        self.config[F_SMBASE] = 0
        self.mask[F_SMBASE] = 0xFF if self.smm and self.is_on("smbase-smram", True) else 0
        self.config[EXT_TSEG : EXT_TSEG + 2] = self.tseg_extended.to_bytes(2, "little")
        self.mask[EXT_TSEG : EXT_TSEG + 2] = b"\xff\xff" if self.tseg_extended else b"\0\0"

    def config_written(self, offset: int, size: int, before: bytes) -> None:
        """PAM, PCIEXBAR, SMRAM and its relatives."""

        def touches(start: int, length: int) -> bool:
            return offset < start + length and offset + size > start

        if touches(PAM, PAM_REGISTERS):
            self.pam.update(self.config[PAM : PAM + PAM_REGISTERS])
        if touches(PCIEXBAR, 8):
            self._update_ecam()
        if not self.smm:
            return
        if touches(SMRAM, 2):
            self._update_smram()
        if touches(EXT_TSEG, 2) and self.tseg_extended and self.config[EXT_TSEG : EXT_TSEG + 2] == b"\xff\xff":
            self.config[EXT_TSEG : EXT_TSEG + 2] = self.tseg_extended.to_bytes(2, "little")
        if touches(F_SMBASE, 1):
            self._update_smbase()

    def _update_ecam(self) -> None:
        host = self.pci_bus.device
        assert isinstance(host, Q35Host)
        value = int.from_bytes(self.config[PCIEXBAR : PCIEXBAR + 8], "little")
        length = ECAM_SIZES.get(value >> 1 & 3)
        if length is None:
            return
        mask = 0xFF0000000
        if value >> 1 & 3:
            mask |= self.board.quirks.pciexbar_bits[(value >> 1 & 3) - 1]
        host.map_ecam(value & mask if value & 1 else None, length)

    def _update_smram(self) -> None:
        config = self.config
        if config[SMRAM] & SMRAM_LOCK:
            config[SMRAM] &= ~SMRAM_OPEN
            self.mask[SMRAM], self.mask[ESMRAMC] = SMRAM_MASK_LOCKED, 0
        high = bool(config[ESMRAMC] & ESMRAMC_HIGH)
        if config[SMRAM] & SMRAM_OPEN:
            self.smram_region.set_enabled(high)
            self.open_high.set_enabled(high)
        else:
            self.smram_region.set_enabled(True)
            self.open_high.set_enabled(False)
        enabled = bool(config[SMRAM] & SMRAM_ENABLE)
        self.low.set_enabled(enabled and not high)
        self.high.set_enabled(enabled and high)
        size = 0
        if config[ESMRAMC] & ESMRAMC_TSEG and enabled:
            size = (1, 2, 8, self.tseg_extended)[config[ESMRAMC] >> 1 & 3] * MIB
        system = self.board.system
        system.del_subregion(self.tseg_hole)
        self.tseg_hole.set_enabled(bool(size))
        self.tseg_hole.set_size(size)
        system.add_subregion(self.tseg_hole, self.below - size, 1)
        self.tseg_window.set_enabled(bool(size))
        self.tseg_window.set_size(size)
        self.tseg_window.set_address(self.below - size)
        self.tseg_window.set_alias_offset(self.below - size)

    def _update_smbase(self) -> None:
        if not self.mask[F_SMBASE]:
            return
        value = self.config[F_SMBASE]
        if value == SMBASE_QUERY:
            self.config[F_SMBASE] = SMBASE_IN_RAM
            self.mask[F_SMBASE] = SMBASE_LOCK
            return
        locked = bool(value & SMBASE_LOCK)
        self.smbase_hole.set_enabled(locked)
        self.smbase_window.set_enabled(locked)
        if locked:
            self.config[F_SMBASE] = SMBASE_LOCK
            self.mask[F_SMBASE] = 0

    def reset(self) -> None:
        """PCIEXBAR, SMRAM and SMBASE go back; PAM stays (3.3)."""
        pam = bytes(self.config[PAM : PAM + PAM_REGISTERS])
        super().reset()
        self.config[PAM : PAM + PAM_REGISTERS] = pam
        self._registers()
        self._update_ecam()
        if self.smm:
            self._update_smram()
            self.smbase_hole.set_enabled(False)
            self.smbase_window.set_enabled(False)
